"""Verdicts that others send: one file without a host, read strictly, shown as theirs, merged with nothing."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest
from made_up import a_run, write

from bench.claims.ledger import load_ledgers
from bench.cli.list_rows import grades
from bench.cli.options import app
from bench.grading import reproductions
from bench.grading.grader import grade_all
from bench.pages.answer_card import measured_elsewhere
from bench.pages.reproductions_page import reproductions_markdown
from bench.runs import records
from reference.errors import InputError

pytestmark = pytest.mark.usefixtures("kept_answers")

LEDGERS = load_ledgers()
VALUES = (0.937, 0.941, 0.939)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three seeds of MNIST-1D's CNN, as printed."""
    folder = tmp_path / "runs"
    for seed, value in enumerate(VALUES):
        write(folder, a_run("mnist1d-cnn", value, seed=seed))
    return folder


@pytest.fixture
def summary(runs: Path) -> Path:
    rows = grade_all(LEDGERS, records.read_all(runs), alignment_green=True, only={"mnist1d-cnn"})
    return reproductions.write_summary(rows, runs)


def test_the_file_holds_verdicts_seeds_and_hashes_and_no_host(summary: Path, runs: Path) -> None:
    (one,) = reproductions.read_summary(summary)
    assert (one.claim, one.verdict, one.data, one.seeds) == (
        "mnist1d-cnn",
        "reproduced",
        "official",
        [0, 1, 2],
    )
    assert one.mean == pytest.approx(sum(VALUES) / 3)
    declared = {json.loads(path.read_text())["content_hash"] for path in records.paths(runs)}
    assert set(one.records) == declared
    assert summary.name.startswith("reproduction-a-processor-")
    text = summary.read_text(encoding="utf-8")
    assert str(runs) not in text
    assert not platform.node() or platform.node() not in text.split()


def test_it_is_the_same_whatever_the_order_of_the_runs(runs: Path, summary: Path) -> None:
    backwards = records.read_all(runs)[::-1]
    rows = grade_all(LEDGERS, backwards, alignment_green=True, only={"mnist1d-cnn"})
    assert reproductions.write_summary(rows, runs) == summary


def test_theirs_is_shown_as_theirs_and_counts_for_nothing(summary: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    before = {row["claim"]: row for row in grades(ours, [], ["mnist1d-cnn"])}["mnist1d-cnn"]
    kept, _ = reproductions.keep(summary, ours)
    assert kept.parent.name == reproductions.FOLDER
    after = {row["claim"]: row for row in grades(ours, [], ["mnist1d-cnn"])}["mnist1d-cnn"]
    (line,) = after.pop(reproductions.BY_OTHERS)  # type: ignore[misc]
    assert str(line).startswith("reproduced on official data, seeds 0, 1, 2, a processor: ")
    assert after == before
    assert str(before["verdict"]).startswith("not tested")
    rows = grade_all(LEDGERS, [], alignment_green=True, only={"mnist1d-cnn"})
    page = reproductions_markdown(rows, ours)
    assert page is not None
    assert (
        "| `mnist1d-cnn` | 94 | reproduced | 93.90 % | official | 0, 1, 2 | a processor | not tested" in page
    )


def test_the_card_tells_it_without_a_colour(summary: Path, tmp_path: Path) -> None:
    reproductions.keep(summary, tmp_path)
    (remark,) = measured_elsewhere(LEDGERS, tmp_path)["mnist1d-cnn"]
    assert (remark.word, remark.standing) == (reproductions.BY_OTHERS, "")
    assert "seeds 0, 1, 2, a processor" in remark.text


def test_the_same_file_twice_is_kept_once(summary: Path, tmp_path: Path) -> None:
    assert reproductions.keep(summary, tmp_path) == reproductions.keep(summary, tmp_path)
    assert len(reproductions.kept_verdicts(tmp_path)) == 1


def test_the_commands_write_and_read_it(
    summary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not app(["import", str(summary), "--out", str(tmp_path / "ours")], standalone_mode=False)
    path, line = capsys.readouterr().out.splitlines()
    assert Path(path).is_file()
    assert line.startswith("mnist1d-cnn: reproduced by others: reproduced on official data, seeds 0, 1, 2")


def test_without_a_decided_claim_there_is_nothing_to_send(tmp_path: Path) -> None:
    write(tmp_path, a_run("r4-seg-b", 0.5, tier="smoke", source="synthetic"))
    rows = grade_all(LEDGERS, records.read_all(tmp_path), alignment_green=True, only={"r4-seg-b"})
    with pytest.raises(InputError, match=r"no run under .* decides a claim"):
        reproductions.write_summary(rows, tmp_path)


def changed(body: dict[str, object], **values: object) -> dict[str, object]:
    """The body with other values in its verdict and a hash that fits."""
    return sealed(body, [{**body["verdicts"][0], **values}])  # type: ignore[index]


BAD = {
    "not JSON": (lambda body: "{", "no summary"),
    "another schema": (lambda body: body | {"schema": 9}, "schema 9, this version reads 1"),
    "a list": (lambda body: [], "schema 'None'|schema None"),
    "an edited mean": (lambda body: body | {"verdicts": []}, "does not match its hash"),
    "no verdicts": (lambda body: sealed(body, []), "no verdicts"),
    "an unknown key": (lambda body: changed(body, host="x"), "unknown key 'host'"),
    "a seed too few": (lambda body: changed(body, seeds=[0]), "a record for each"),
    "a text of two lines": (lambda body: changed(body, sentence="a\nb"), "a text of one line"),
}


def sealed(body: dict[str, object], verdicts: list[object]) -> dict[str, object]:
    """The body with other verdicts and a hash that fits."""
    content = {"schema": body["schema"], "verdicts": verdicts}
    return content | {"content_hash": records.hash_of(content)}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_one_line_and_keeps_nothing(fault: str, summary: Path, tmp_path: Path) -> None:
    change, message = BAD[fault]
    bad = change(json.loads(summary.read_text(encoding="utf-8")))
    summary.write_text(bad if isinstance(bad, str) else json.dumps(bad), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        reproductions.keep(summary, tmp_path / "ours")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ours").exists()
