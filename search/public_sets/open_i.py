"""Read Open-i (Indiana University): its XML reports, or the tables that are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.report_labeler import Statement, qualified, qualifies, read_report, spoken
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.tables import read_table, read_text
from filmroom.search.public_sets.views import view_statements

_SECTIONS = ("INDICATION", "FINDINGS", "IMPRESSION")
_ANATOMY = {
    *("aorta", "aorta, thoracic", "bone and bones", "clavicle", "costophrenic angle", "diaphragm", "heart"),
    *("hilum", "humerus", "lumbar vertebrae", "lung", "markings", "mediastinum", "pulmonary artery", "ribs"),
    *("shoulder", "spine", "sternum", "thoracic vertebrae", "thorax", "trachea", "cardiophrenic angle"),
}


def read_open_i(path: Path, *, projections: Path | None = None) -> list[Document]:
    """Read Open-i / Indiana: a folder of its XML reports, or indiana_reports.csv (or JSON lines with `mesh`).

    MeSH strings carry the qualifiers ("Pulmonary Atelectasis/base/left/mild"); the report's own denials are added.
    The films are the XML's images, those of indiana_projections.csv, or else the report itself.
    """
    films = projections_of(projections) if projections else {}
    reports = _open_i_xml(path) if path.is_dir() else _open_i_table(path)
    documents = []
    for report in reports:
        coded = tuple(statement for term in report.mesh for statement in _mesh(term))
        denied = tuple(statement for statement in read_report(report.judged) if not statement.present)
        labels = tuple((_label(statement.idea), 1.0) for statement in coded if statement.certain)
        pictures = films.get(report.id) or [(image, "") for image in report.images] or [(report.id, "")]
        documents += [
            Document(image, (*coded, *denied, *view_statements(view)), labels=labels, report=report.text)
            for image, view in pictures
        ]
    return documents


@dataclass(frozen=True)
class _Report:
    """One report of the set. `sections` are its parts by name, as they are published."""

    id: str
    images: tuple[str, ...]
    mesh: tuple[str, ...]
    sections: dict[str, str]

    @property
    def judged(self) -> str:
        """The parts that say what is seen."""
        return ". ".join(self.sections[name] for name in ("FINDINGS", "IMPRESSION") if name in self.sections)

    @property
    def text(self) -> str:
        return "\n\n".join(f"{name}: {text}" for name, text in self.sections.items() if text)


def _label(idea: str) -> str:
    return NORMAL if idea == NORMAL else spoken(idea)


def _mesh(term: str) -> tuple[Statement, ...]:
    head, *parts = (part.strip().lower() for part in term.split("/"))
    if head in {"", "no indexing", "technical quality of image unsatisfactory"}:
        return ()
    rest = " ".join(parts)
    if head == "cardiac shadow" and "enlarged" in parts:
        idea = "cardiomegaly"
    elif head in _ANATOMY:  # "Aorta/tortuous": the finding is what is said of the part
        words = [part for part in parts if not qualifies(part)]
        if not words:
            return ()
        idea = finding_of(f"{words[-1]} {head.split(',')[0]}")
    else:
        idea = finding_of(head)
    return (replace(qualified(idea, rest), certain="possible" not in parts),)


def _open_i_table(path: Path) -> Iterator[_Report]:
    table = read_table(path)
    name, mesh = table.need("uid", "report_id"), table.need("MeSH", "mesh")
    for row in table:
        sections = {part: row.get(table.column(part)) for part in _SECTIONS}
        yield _Report(row.get(name), (), tuple(row.get(mesh).split(";")), sections)


def _open_i_xml(folder: Path) -> Iterator[_Report]:
    files = sorted(folder.rglob("*.xml"))
    if not files:
        raise BadInput("There is no XML report in the folder", where=folder)
    for file in files:
        content = read_text(file)
        if "<!ENTITY" in content:
            raise BadInput("The report declares entities", where=file, fix="Use the files as they are published")
        try:
            root = ElementTree.fromstring(content.encode("utf-8"))  # noqa: S314  entities were refused above
        except ElementTree.ParseError:
            raise BadInput("This is not an XML report", where=file) from None
        uid = root.find("uId")
        report = uid.get("id", file.stem) if uid is not None else file.stem
        mesh = tuple(term.text or "" for term in root.findall("./MeSH/major"))
        texts = {part.get("Label", ""): part.text or "" for part in root.iter("AbstractText")}
        images = tuple(image.get("id", "") for image in root.findall("parentImage"))
        yield _Report(report, images, mesh, {part: texts[part] for part in _SECTIONS if part in texts})


def images_of(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Return (image, "") of each report of the folder of XML files, which say nothing of views."""
    return {report.id: [(image, "") for image in report.images] for report in _open_i_xml(folder)}


def projections_of(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Return (image, view) of each report, from indiana_projections.csv."""
    table = read_table(path)
    name, file, view = table.need("uid"), table.need("filename"), table.column("projection")
    images: dict[str, list[tuple[str, str]]] = {}
    for row in table:
        images.setdefault(row.get(name), []).append((row.get(file), row.get(view)))
    return images
