"""What people read: tables, pages, pictures, the leaderboard."""
