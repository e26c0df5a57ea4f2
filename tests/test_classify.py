"""The commands that classify, as a person uses them: findings from prompts alone, and probes that are learned."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from tests.measure_helpers import COUNT, as_json, indexed, labels, said, shared
from tests.terminal import Terminal
from tests.tiny_model import make_model

__all__ = ["indexed", "shared"]

Films = Callable[..., Path]


def test_zeroshot_counts_and_measures(indexed: Terminal, tmp_path: Path) -> None:
    indexed("label", labels(tmp_path / "l.csv"))
    scores = tmp_path / "scores.csv"
    found = as_json(indexed, "zeroshot", "edema", "pericardial calcification", "--scores", scores)
    assert (found["model"], found["films"]) == ("tiny", COUNT)
    edema, other = found["findings"]
    assert (edema["finding"], edema["positives"], edema["negatives"]) == ("edema", 15, 15)
    assert 0 <= edema["auc"]["low"] <= edema["auc"]["value"] <= edema["auc"]["high"] <= 1
    assert other["auc"] is None
    assert other["prompts"]["negative"][0] == "no pericardial calcification"
    assert found["mean_auc"] == edema["auc"]["value"]
    rows = list(csv.DictReader(scores.open()))
    above = sum(float(row["edema"]) >= 0 for row in rows)
    assert (len(rows), above) == (COUNT, edema["selected"])
    assert {row["film"] for row in rows} == {f"film-{number:03}.png" for number in range(COUNT)}
    some = as_json(indexed, "zeroshot", "edema", "--where", "path:film-00", "--threshold", -2)
    assert (some["films"], some["findings"][0]["selected"]) == (10, 10)
    assert other["even_threshold"] is None
    even = as_json(indexed, "zeroshot", "edema", "--threshold", edema["even_threshold"])["findings"][0]
    assert abs(even["sensitivity"] - even["specificity"]) <= 1 / 15
    table = indexed("zeroshot", "--findings", "chexpert13")
    assert "95 % interval" in table
    assert "even at" in table


def test_zeroshot_takes_prompts_of_ones_own(indexed: Terminal, tmp_path: Path) -> None:
    indexed("label", labels(tmp_path / "l.csv"))
    asked = ("--positive", "wet lungs", "--positive", "pulmonary edema", "--negative", "dry lungs")
    (typed,) = as_json(indexed, "zeroshot", "Edema", *asked)["findings"]
    assert typed["prompts"] == {"positive": ["wet lungs", "pulmonary edema"], "negative": ["dry lungs"]}
    assert (typed["finding"], typed["positives"], typed["negatives"]) == ("edema", 15, 15)
    table = tmp_path / "prompts.csv"
    table.write_text(
        "finding,positive,negative\nedema,wet lungs|pulmonary edema,\nedema,,dry lungs\nmass,mass,no mass\n"
    )
    (read, mass) = as_json(indexed, "zeroshot", "--prompts", table)["findings"]
    assert read == typed
    assert mass["auc"] is None

    needs_both = "a score needs prompts that say the finding and prompts that deny it"
    assert needs_both in said(indexed, "zeroshot", "edema", "--positive", "wet lungs")
    assert "prompts are of one finding" in said(indexed, "zeroshot", "edema", "mass", *asked)
    table.write_text("finding,positive\nedema,wet lungs\n")
    assert "There is no column negative" in said(indexed, "zeroshot", "--prompts", table)


def test_zeroshot_chooses_one_of_several(indexed: Terminal, tmp_path: Path) -> None:
    rows = [f"film-{n:03},{'pneumothorax' if n % 3 else 'cardiomegaly'}" for n in range(20)]
    (tmp_path / "l.csv").write_text("film,label\n" + "\n".join([*rows, "film-020,pneumothorax|cardiomegaly"]))
    indexed("label", tmp_path / "l.csv")
    scores = tmp_path / "s.csv"
    asked = ("zeroshot", "--among", "enlarged heart, pneumothorax", "--scores", scores)
    found = as_json(indexed, *asked)
    assert (found["candidates"], found["films"]) == (["enlarged heart", "pneumothorax"], COUNT)
    assert sum(found["chosen"]) == COUNT
    assert [sum(row) for row in found["confusion"]] == [7, 13], "an enlarged heart is labelled cardiomegaly"
    assert (found["labelled"], found["labelled_with_several"], found["largest_class"]) == (20, 1, 13 / 20)
    right = found["confusion"][0][0] + found["confusion"][1][1]
    assert found["accuracy"]["value"] == right / 20
    assert found["accuracy"]["low"] <= right / 20 <= found["accuracy"]["high"]
    rows_read = list(csv.DictReader(scores.open()))
    assert all(abs(float(row["enlarged heart"]) + float(row["pneumothorax"]) - 1) < 1e-5 for row in rows_read)
    assert [sum(row["chosen"] == name for row in rows_read) for name in found["candidates"]] == found["chosen"]
    assert "Accuracy 0." in indexed(*asked)
    assert "a choice needs two candidates" in said(indexed, "zeroshot", "--among", "edema")
    assert "denies a finding" in said(indexed, "zeroshot", "--among", "edema, no effusion")
    assert 'Ask for "effusion"' in said(indexed, "zeroshot", "no effusion")
    assert "candidates are chosen among" in said(indexed, "zeroshot", "edema", "--among", "edema, mass")


def test_a_probe_is_learned_kept_and_filters(indexed: Terminal, films: Films, tiny: Path, tmp_path: Path) -> None:
    table, page = labels(tmp_path / "l.csv", patient=True), tmp_path / "probe.html"
    found = as_json(indexed, "probe", "--labels", table, "--save", "edema-1", "--report", page)
    (report,) = found["probes"]
    assert (found["applied"], found["films_without_patient"]) == (COUNT, 0)
    assert report["train_films"] + report["test_films"] == COUNT
    assert {point["kind"] for point in report["curve"]} == {"linear", "mlp"}
    assert report["curve"][0]["films"] == 10
    assert sum(one["films"] for one in report["calibration"]) == report["test_films"]
    assert page.read_text().count("<svg") == 2
    (kept,) = as_json(indexed, "probe", "list")
    last = [point["auc"]["value"] for point in report["curve"] if point["kind"] == "linear"][-1]
    assert kept == {"name": "edema-1", "finding": "edema", "model": "tiny", "films": COUNT, "auc": last}
    hits = as_json(indexed, "search", "probe:edema-1>=0.5", "-k", COUNT)["hits"]
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.5
    assert not any(hit["labels"] for hit in hits), "a probe's word is no label"
    indexed("index", films(COUNT + 2), "--model", tiny)
    assert as_json(indexed, "probe", "apply", "edema-1") == {"probe": "edema-1", "films": COUNT + 2}
    assert as_json(indexed, "probe", "remove", "edema-1") == {"probe": "edema-1", "films": COUNT + 2}
    assert as_json(indexed, "probe", "list") == []
    assert as_json(indexed, "search", "probe:edema-1>=0")["hits"] == []


def test_a_probe_takes_the_split_of_its_table(indexed: Terminal, tmp_path: Path) -> None:
    parts = ["train"] * 16 + ["val"] * 6 + ["test"] * 8
    rows = [f"film-{n:03}.png,{n % 2},{part},p{n // 3}" for n, part in enumerate(parts)]
    table = tmp_path / "l.csv"
    table.write_text("film,edema,set,patient\n" + "\n".join([*rows[:-1], "film-029.png,1,,p9"]))
    found = as_json(indexed, "probe", "--labels", table, "--split-column", "set")
    (report,) = found["probes"]
    assert [report[f"{part}_films"] for part in ("train", "tune", "test")] == [16, 6, 7]
    assert found["patients_in_several_parts"] == 2
    assert "2 patients in more than one part" in indexed("probe", "--labels", table, "--split-column", "set")

    command = ("probe", "--labels", table, "--split-column")
    table.write_text("film,edema,set\nfilm-000.png,1,train\nfilm-001.png,0,perhaps\n")
    assert "'perhaps' is no part of a split. Write train" in said(indexed, *command, "set")
    table.write_text("film,edema,set\nfilm-000.png,1,train\nfilm-001.png,0,train\n")
    assert "no film of the archive is in test" in said(indexed, *command, "set")
    assert "a split is read from a table" in said(indexed, "probe", "--label", "edema", "--split-column", "set")
    assert "There is no column parts" in said(indexed, *command, "parts")


def test_a_probe_of_the_archives_labels(indexed: Terminal, tmp_path: Path) -> None:
    indexed("label", labels(tmp_path / "l.csv"))
    out = indexed("probe", "--label", "Edema")
    assert indexed.code == 0, indexed.err
    assert "Calibration" in out
    assert f"Patients unknown: {COUNT} films" in out


def test_a_probe_belongs_to_its_model(indexed: Terminal, shared: Path, tmp_path: Path) -> None:
    second = make_model(tmp_path / "second", name="second", seed=3)
    indexed("probe", "--labels", labels(tmp_path / "l.csv"), "--save", "e")
    indexed("index", shared / "films", "--model", second)
    assert indexed.code == 0, indexed.err
    assert "was made with tiny, not with second" in said(indexed, "probe", "apply", "e", "--model", second)


def test_several_findings_at_once_leave_out_what_cannot_be_learned(indexed: Terminal, tmp_path: Path) -> None:
    table = tmp_path / "wide.csv"
    rows = [f"film-{n:03},{n % 2},{int(n == 1)}" for n in range(COUNT)]
    table.write_text("\n".join(["film,edema,mass", *rows]))
    found = as_json(indexed, "probe", "--labels", table)
    assert [one["name"] for one in found["probes"]] == ["edema"]
    assert "Too few patients" in found["left_out"]["mass"]
    json.dumps(found, allow_nan=False)
