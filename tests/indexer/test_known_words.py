"""Words that nothing here knows are named, and usual ones raise no alarm."""

from __future__ import annotations

import time

import pytest
from filmroom.assets import ASSETS
from filmroom.indexer.models.base import KnowsWords
from filmroom.indexer.models.exported.onnx import OnnxTowers, whole_words
from filmroom.indexer.radiology import known_words
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.known_words import meant_by, unfamiliar_words

USUAL = """
pleural effusion
small left pleural effusion
large right pneumothorax
enlarged heart
cardiomegaly with pulmonary edema
pneumonia in the right lower lobe
patchy bilateral airspace opacities
consolidation without effusion
normal chest x-ray
no acute cardiopulmonary disease
pacemaker with two leads
endotracheal tube too low
nasogastric tube coiled in the esophagus
central venous catheter tip in the right atrium
chest tube on the left side
rib fractures after trauma
old healed clavicle fracture
widened mediastinum
tortuous aorta with calcification
hyperinflated lungs in an elderly patient
emphysema with bullae
interstitial lung disease
honeycombing at the bases
reticular markings
ground-glass opacities
miliary tuberculosis
cavitary lesion in the upper lobe
solitary pulmonary nodule
multiple metastases
lung cancer with hilar enlargement
hilar lymphadenopathy
mediastinal mass
hiatal hernia behind the heart
elevated right hemidiaphragm
free air under the diaphragm
scoliosis of the thoracic spine
kyphosis
blunted costophrenic angles
pleural thickening
pleural plaques from asbestos
atelectasis at the left base
linear atelectasis
collapse of the left lung
subcutaneous emphysema
pneumomediastinum
bronchiectasis
Kerley B lines
vascular congestion
cephalization of vessels
sternotomy wires
prosthetic heart valve
coronary stents
breast implants
portable film of a patient in intensive care
women over 60 with effusion
young man with cough and fever
child with a swallowed coin
poor inspiration
rotated film
azygos lobe
dextrocardia
situs inversus
calcified granuloma
sarcoidosis
spine hardware
shoulder prosthesis
tracheostomy
drainage catheter
air bronchograms
silhouette sign
worsening opacities since last study
improved aeration
unchanged position of the catheter
small apical pneumothorax, not seen before
foreign body
hemothorax
aortic aneurysm
pulmonary arterial hypertension
pericardial effusion
COVID-19 pneumonia
aspiration
bat wing edema
costal cartilage calcification
degenerative changes of the spine
osteopenia
compression fracture of a vertebral body
gastric bubble
surgical clips
mastectomy
lobectomy
pneumonectomy
Port-A-Cath
Swan-Ganz catheter
Dobbhoff tube
intra-aortic balloon pump
films like those of heart failure
please show me any films that show something abnormal
"""


@pytest.fixture(scope="module")
def mini() -> frozenset[str]:
    towers = OnnxTowers(ASSETS / "filmroom-mini")
    assert isinstance(towers, KnowsWords)
    return towers.known_words()


@pytest.mark.parametrize("query", USUAL.strip().splitlines())
def test_usual_queries_raise_no_alarm(query: str, mini: frozenset[str]) -> None:
    assert unfamiliar_words([spell_out(query).text], mini) == ()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("kerley xqzt", ("xqzt",)),
        ("small Xqzt with the patient", ("Xqzt",)),
        ("pnuemothorax", ("pnuemothorax",)),
        ("left plural efusion", ("efusion",)),
        ("Pleuraerguss links", ("Pleuraerguss",)),
        ("blorbing zorgs, blorbing", ("blorbing", "zorgs")),
        ("T12 fracture, 3 mm nodule, IV line, v2", ()),
        ("films/a/xqzt.dcm", ()),
        ("", ()),
    ],
)
def test_what_nothing_knows_is_named(query: str, words: tuple[str, ...], mini: frozenset[str]) -> None:
    assert unfamiliar_words([query], mini) == words


def test_no_usual_word_is_listed_twice() -> None:
    listed = known_words._USUAL.split()
    assert len(listed) == len(set(listed))
    assert not known_words.lexicon_words() & set(listed), "the lexicon has them"


def test_whole_words_of_every_kind_of_vocabulary() -> None:
    words = [
        f"{first}{second}word"
        for first in "abcdefghijklmnopqrstuvwxyzABCDEFGH"
        for second in "abcdefghijklmnopqrstuvwxyzABCDEFGH"
    ]
    words += [f"x{word}" for word in words]
    lower = frozenset(word.lower() for word in words)
    assert whole_words([*words, "##piece", "12", "[CLS]"]) == lower
    assert whole_words([*(f"{word}</w>" for word in words), "piece"]) == lower
    assert whole_words([*(f"\u2581{word}" for word in words), "piece"]) == lower
    assert whole_words(words) == frozenset(), "of a kind that is not known"
    assert whole_words(["\u2581word", "piece"]) == frozenset(), "too few"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *(("efusion", "effusion"), ("cardiomegally", "cardiomegaly"), ("pnemothorax", "pneumothorax")),
        *(("neumothorax", "pneumothorax"), ("Oedma", "oedema"), ("pacemeker", "pacemaker"), ("efusions", "effusions")),
        *(("xqzt", ""), ("crescentic", ""), ("ischemia", ""), ("zebra", "")),
    ],
)
def test_a_slip_of_the_pen_is_told_from_another_word(word: str, meant: str) -> None:
    assert meant_by(word) == meant


def test_what_a_word_may_be_a_slip_of_is_known_at_once() -> None:
    meant_by("efusion")
    began = time.thread_time()
    for word in ("efusion", "cardiomegally", "pnemothorax", "atalectasis", "infiltrat") * 10:
        meant_by(word)
    assert (time.thread_time() - began) / 50 < 0.005, "0.3 to 1 ms where it was measured"
