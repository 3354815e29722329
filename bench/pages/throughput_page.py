"""The throughput page: tables and the roofline picture of timing sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.pages.published_pictures import with_palette
from bench.throughput.results import TARGETS, Result, Timing, place, ratios, reached, share
from reference.files import write_atomically

_HOW_TO_READ = """\
*How to read this page.* Rates are medians over rounds, with the slowest and the fastest round in brackets.
Contenders of one piece of work took turns on the same inputs, new ones each round; a ratio is the median over
those rounds, so a machine that slows down slows down all of them. Absolute rates hold for the machine named
and for no other. *Share* is what was reached of the roofline: of the rate that the machine's own ceilings,
measured in the same process, allow for the FLOPs and bytes of an item. Bytes are those that products must
move even if all else is fused into them.
"""


def throughput_markdown(results: Sequence[Result], folder: Path) -> str:
    """Return all sessions as one Markdown page, with the hash of each picture that ``folder`` holds."""
    parts = ["# Throughput", _HOW_TO_READ]
    for result in results:
        parts += _machine_part(result, folder)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _machine_part(result: Result, folder: Path) -> list[str]:
    made = result.provenance
    commit = f"`{made['commit'][:9]}`" if made.get("commit") else "not in a checkout"
    software = [
        f"torch {made['packages']['torch']}",
        *([f"driver {made['driver']}"] if made["driver"] else []),
    ]
    parts = [
        f"## {result.machine_name}",
        f"{', '.join([*software, made['system']])}; commit {commit}"
        f"{' with changes' if made.get('dirty') else ''}; file `throughput/{result.slug}.json`.",
    ]
    if result.failed:
        parts.append(f"**Failed, so not below:** {', '.join(f'`{name}`' for name in result.failed)}.")
    parts.append(table_text(*ceilings_table(result)))
    if roofline_points(result):
        picture = folder / picture_file(result)
        content = picture.read_bytes() if picture.exists() else b""
        parts.append(f"![Roofline of {result.machine_name}]({picture_file(result)})")
        parts.append(f"<!-- sha256 of the picture: {hashlib.sha256(content).hexdigest()} -->")
    parts += [table_text(*targets_table(result)), table_text(*timings_table(result))]
    return parts


Cells = tuple[list[str], list[list[str]]]
"""A table's heads and its rows; a cell may hold several lines."""


def ceilings_table(result: Result) -> Cells:
    """Return the table of the machine's ceilings, in each place that work was done."""
    rows = [
        [place_name, *(si_number(limits.get(name)) for name in ("float32", "bfloat16", "copy"))]
        for place_name, limits in result.ceilings.items()
    ]
    return ["ceilings", "float32 FLOP/s", "bfloat16 FLOP/s", "copy B/s"], rows


def targets_table(result: Result) -> Cells:
    """Return the table of all targets and what this session reached."""
    rows = []
    for target in TARGETS:
        hit = reached(target, result)
        if hit is None:
            rows.append([target.work, target.promise, "–", "not measured here"])
        else:
            met = "yes" if hit[1] >= target.at_least else "no"
            rows.append([target.work, target.promise, si_number(hit[1]), met])
    return ["target", "at least", "reached", "met"], rows


def timings_table(result: Result) -> Cells:
    """Return the table of everything that was timed."""
    rows = []
    for row in result.rows:
        part = share(row, result)
        ratio_lines = [f"{value:.3g} × {name}" for name, value in ratios(row, result).items()]
        spread = f"{si_number(min(row.samples))}–{si_number(max(row.samples))}"
        rows.append(
            [
                row.work,
                row.contender,
                f"{si_number(row.median)} {row.unit} ({spread})",
                str(len(row.samples)),
                si_number(row.flops),
                si_number(row.bytes),
                "–" if part is None else f"{part:.0%}",
                "\n".join(ratio_lines) or "–",
            ]
        )
    heads = ["work", "contender", "rate", "rounds", "FLOPs/item", "bytes/item", "share", "against the others"]
    return heads, rows


def table_text(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown; the lines of a cell become line breaks."""
    from tabulate import tabulate

    lines = [[cell.replace("\n", "<br>") for cell in row] for row in rows]
    return tabulate(lines, headers=heads, tablefmt="github", disable_numparse=True)


def si_number(value: float | None) -> str:
    """Three digits with a decimal prefix: ``"1.20 k"``, ``"790 T"``."""
    if value is None:
        return "–"
    for power, prefix in ((12, " T"), (9, " G"), (6, " M"), (3, " k")):
        if value >= 999.5 * 10 ** (power - 3):
            return f"{_digits(value / 10**power)}{prefix}"
    return _digits(value)


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def pictures(results: Iterable[Result]) -> list[str]:
    """Return the files that ``draw_rooflines`` writes, relative to the results' folder."""
    return [picture_file(result) for result in results if roofline_points(result)]


def draw_rooflines(results: Iterable[Result], folder: Path) -> list[Path]:
    """Draw the roofline of every machine that timed networks; return the files written."""
    from reference import visualize

    drawn = []
    for result in results:
        points = roofline_points(result)
        if not points:
            continue
        place_name = place(next(iter(points.values())).settings)
        limits = result.ceilings[place_name]
        visualize.roofline(
            {
                name: (row.flops / row.bytes, row.median * row.flops, str(row.settings["dtype"]))
                for name, row in points.items()
                if row.flops and row.bytes
            },
            peaks={name: peak for name, peak in limits.items() if name != "copy"},
            bandwidth=limits["copy"],
            title=f"Training steps on {result.machine['gpu'] or result.machine_name}",
            path=folder / picture_file(result),
        )
        path = folder / picture_file(result)
        write_atomically(path, with_palette(path.read_bytes()))
        drawn.append(path)
    return drawn


def roofline_points(result: Result) -> dict[str, Timing]:
    """Return the fastest training step of each network, on the GPU if it was timed there."""
    trained = [
        row
        for row in result.rows
        if row.is_ours and row.settings.get("pass") == "train" and row.flops and row.bytes
    ]
    on_gpu = [row for row in trained if row.settings["device"] != "cpu"]
    points: dict[str, Timing] = {}
    for row in sorted(on_gpu or trained, key=lambda row: row.median):
        points[f"{row.settings['model']} at {row.settings['image_size']} px"] = row
    return points if points and place(next(iter(points.values())).settings) in result.ceilings else {}


def picture_file(result: Result) -> str:
    """Return the roofline's file, relative to the results' folder."""
    return f"figures/throughput/{result.slug}-roofline.png"
