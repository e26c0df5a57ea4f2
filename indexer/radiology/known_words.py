"""Tell which words of a query nothing here knows: a slip of the pen, another language, a name.

What is known is what the lexicon, the abbreviations and the model's own vocabulary hold as whole words; ordinary
English, which CLIP's vocabulary holds (Radford et al., 2021; open_clip brings it); and the words below: usual ones of
chest radiology and of asking for films, which a model of word pieces reads without holding them. No library here has
them: the concepts of DICOM and SNOMED that pydicom brings lack half, and take a second to read. Some are English too:
CLIP's vocabulary, a tenth of a second to read, is asked last.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from filmroom.indexer.radiology.abbreviations import ABBREVIATIONS, lexicon_words
from filmroom.indexer.radiology.vocabulary import phrases

_USUAL = """
abdomen abdominal accentuated achalasia acromioclavicular adenocarcinoma adjacent adolescents aerated aeration aetiology
agenesis airway alongside ambulance amiodarone amplatzer amyloidosis anaemia anastomosis anemia anesthesia angiogram
angiography angulated ankylosing annular annuloplasty anomalous anomaly anthracosis aortogram aortopulmonary apnea
apnoea appearance appendage arch arrhythmia artefact arthritic arthritis arthropathy arthroplasty artifact artifactual
asbestos asbestosis ascending ascites aspergilloma aspergillosis asthma asymmetric asymmetry asymptomatic
atherosclerosis atresia atrial atrium attenuation axilla axillary azygos baby bariatric barium batwing benign bibasal
bifid bifurcation bihilar biliary bioprosthetic biopsy blastic bleb bleed blunted blurred blurry bochdalek boerhaave
bony brachiocephalic brachytherapy bradycardia breath bronchi bronchiectasis bronchiectatic bronchiolitis bronchitis
bronchoalveolar bronchocele bronchogram broncholith broncholithiasis bronchopleural bronchoscopic bronchoscopy
bronchovascular bronchus bulla bullet button cachexia calcific calcium calculi callus cannonball cannulation carcinoid
carcinomatosa carcinomatosis cardia cardiomyopathy cardiophrenic carinatum cartilage cath catheterisation
catheterization catheterized cavitates cavitating centrilobular cervical characterization chemotherapy chilaiditi
children cholecystectomy cholelithiasis chronicity chylothorax chylous cirrhosis clavicle clavicular clinic clip
coarctation coarsened coccidioidomycosis coil collateral colonic colostomy compared comparison complicate complication
compression compressive confluence confluent congenital congested conglomerate consolidative conspicuous contour
contralateral contrast contusion convexity correlate correspond costal costochondral cough crackles crescent cropped
crowding cryptogenic cuffing curvilinear cyst cystic debris decompensated decubitus definite deformity degenerative
dehisced dehiscence demineralization demineralized deviated deviation dextrocardia dextrocurvature dextroposition
diabetic diagnose diagnosis dialysis diarrhea diarrhoea dilatation dilation diminished discrete dislocated dislocation
displacement dissection distal distended distension distention diverticulum dizziness doctor dorsal drainage duodenal
duodenum dysphagia dyspnea dyspneic dyspnoea ebstein echocardiogram ectasia edematous eggshell eisenmenger
electrocardiogram electrode elevated elevation emboli embolic embolism embolization embolus emergency empyema
encapsulated encephalopathy enchondroma endobronchial endplate engorgement enlarging eosinophilic epicardial epidural
epigastric erosion esophageal esophagectomy esophagus etiology eventration evident exacerbation exaggerated exam
excavatum exertion exostosis expansile expiration exposure extremity extubated extubation exudate exudative fallot
farmers femoral femur fever fibrillation fibroid fibroma fibronodular fibrosing fistula flail flattening fleischner
flipped fluffy fluoroscopy flutter foci followup foreign fullness fundus gallbladder gastroesophageal gastrointestinal
gastrostomy ghon gibbus glenohumeral glenoid goiter goitre goodpasture granular granulomatosis groshong gunshot habitus
haematemesis haematoma haemoptysis haemorrhage haemorrhagic haemothorax hamartoma hampton healed healing heimlich
hematemesis hematoma hemidiaphragm hemodialysis hemodynamic hemoptysis hemorrhage hemorrhagic hemothorax hepatic
hepatocellular hepatomegaly herniated herniation hickman histiocytosis histoplasmosis hodgkin honeycomb hospitalised
hospitalized humeral humerus hyaline hydatid hydronephrosis hyperaerated hyperaeration hyperdense hyperexpanded
hyperexpansion hyperlucency hyperostosis hypersensitivity hypertensive hypertrophic hypertrophy hypoinflated hypoplasia
hypoplastic hypotension hypoventilation hypoventilatory hypoxemia hypoxia hypoxic iatrogenic icu ileostomy ileus image
immunocompromised immunosuppression impacted impaction impella implant improved improvement improving inadequate
incidental indeterminate indistinct infarct infarction inferior infiltrative inflamed inflammation inflammatory inflated
inflow ingested inguinal inhalation innominate innumerable inpatient inspiratory insufficiency intact intermittent
interposition interstitium interval intramedullary intraperitoneal intubation inversus inverted ipsilateral irregularity
ischaemic ischemic jejunal jejunostomy juxtahilar juxtaphrenic kartagener kink kyphoplasty kyphoscoliosis kyphosis
kyphotic laceration lamellar laryngeal lateralis lead leftward leiomyoma leukaemia leukemia leukocytosis levocurvature
lightheaded lightheadedness lingula lingular lipoma lobectomy lobular loculated loculation lordotic lucency lucent
lumbar lumbosacral lumen lupus lymph lymphangioleiomyomatosis lymphangitic lymphangitis lymphocytic lymphoma
lymphomatous lytic macklin magnified malaligned malignant malposition malrotated mammogram mammography manubrium marfan
margin markers mastectomy measles mechanical meconium medial mediastinal mediastinitis mediastinoscopy mediastinotomy
mediastinum megaesophagus melanoma mesenteric mesothelioma metallic metastasis metastatic miliary mimic mimicked
mimicking misaligned misplaced misread mitraclip monitor morbid morgagni motion mottled mucoid mucus multilevel
multilobar multiloculated multinodular mycetoma mycobacterial mycobacterium mycotic myeloma myocardial narrowed
narrowing nasoenteric nasojejunal nausea neck necrosis necrotic necrotizing needle neonate neoplastic nephrostomy
neurofibroma neurofibromatosis neurosurgical nipple nocardia nodal nodes nodularity nonproductive nonspecific numbness
obese obesity oblique obliteration obscuration obscures obscuring obstructed obstruction occluded occluder occult
oedematous oesophageal oesophagectomy oesophagus oligemia orthopaedic orthopedic osseous osseus ossification
osteoarthritis osteochondroma osteolysis osteolytic osteomyelitis osteopenia osteopenic osteophyte osteoporosis
osteoporotic osteosarcoma outflow outpatient overexposed overinflation overlap overlie overlying overpenetrated overt
overweight ovoid paced pacing palpitations pancoast pancreatitis papilloma paragonimiasis pathologic patulous pectus
pelvic pelvis penetration percutaneous perforated perforation perfusion pericardial pericardiocentesis pericarditis
pericardium perilymphatic periosteal peritoneum permeative phlebolith phlegmon phrenic piercing pigtail pillow plethora
pleurectomy pleurisy pleuritic pleuritis pleurodesis pleuroparenchymal plombage pneumatocele pneumatosis pneumobilia
pneumocephalus pneumoconiosis pneumocytoma pneumomediastinum pneumonectomy pneumopericardium pneumoperitoneum
pneumothoraces poland porta postero posterolateral postmortem postop postoperative postprocedural ppd precarinal
predominance predominantly pregnancy pregnant premature preop preoperative preterm projectile prolapse prominence prone
prostatectomy prostheses prosthesis proteinosis proximal pseudomonas pseudotumor pulmonic purulent pyloric pylorus
quadrant questionable radiating radiodense radiodensity radiography radiologic radiologist radiology radiolucent
radiopaque radiotherapy rales reaccumulation rectal recurrence recurrent redemonstrated redemonstration redistribution
reexpanded reexpansion reflux reinflation resected resection resident residual resolved resolving retained reticulation
retrolisthesis retroperitoneal retroperitoneum rheumatoid ribcage rightward rotator rupture sabre sacral sacroiliac
sacrum sarcoid sarcoidosis sarcoma satisfactory saturation scapula scapular schwannoma scimitar scleroderma sclerosed
sclerosis sclerotic screening senescent sepsis septate septations septic septum sequela sequelae sequestration sheath
shortness shoulder shrapnel sickle sigmoid silicosis sinus situs skinfold sliding sloughing smoker sonographic
spiculated spleen splenic splenomegaly spondylitis spondylosis spondylotic sprengel spurring sputum squamous
staphylococcus staples stenosis stenotic stent sternal sternoclavicular sternum stimulator stomal streaks streaky stylet
subarachnoid subcarinal subcutaneous subglottic subluxation submaximal suboptimal suggestive sulci superficial
superimposed surgical suspected suture swallowed swelling swyer symmetric symptomatic syncope synovial systemic
tachycardia tachypnoea tamponade tapered teenager tenderness teratoma terminate testicular testis tetralogy thickened
thoracentesis thoracolumbar thoracoplasty thoracoscopy thoracotomy thorax thrombosis thrombus thymectomy thymic thymoma
thymus thyroid tightness tingling toddler tomographic tomography torsion tortuosity tracheobronchial tracheomalacia
transjugular transplant transposition transvenous transverse trauma traumatic traversing tricuspid tubercle tubercular
tuberculous tubular ulcer ultrasound underexposed underinflated underinflation underpenetrated underweight unfolding
unifocal unilateral unreadable upside ureteral valvular valvuloplasty varices varicose vascularity vasculature
vasculitis vasculopathy vein ventilation ventilator ventral ventricle vertebra vertebrae vertebral vertebroplasty vessel
visualised visualized volvulus vomiting watchman wedge wegener westermark wheelchair wheeze whiteout widening wire
workup worrisome worsened worsening xray zipper
"""
_PAIRS = 49_152 - 256 - 2
"""Lines of the file that CLIP reads; the rest are no words of it."""

_ENDINGS = ("'s", "s", "es", "ed", "d", "ing", "ly", "al", "ally", "er", "ation", "like", "less", "wise")
_BEGINNINGS = (
    "non",
    "un",
    "re",
    "pre",
    "post",
    "sub",
    "supra",
    "infra",
    "peri",
    "para",
    "inter",
    "intra",
    "mid",
    "semi",
)
_ALIKE = 0.85
"""The least likeness (`difflib`) of a word to one that it may be a slip of: one letter in six or seven."""
_LEAST_LETTERS = 5
_DERIVED = re.compile(r"(?<=\w{5})(?:ing|ed|ic|al|ous|ate|ize|ia|ium)$")
"""Endings that make another word of the same stem, and no slip: "crescentic", "ischemia"."""
_WORD = re.compile(r"(?<![\w'\u2019@./\\])[^\W\d_]{3,}(?:['\u2019]s)?(?![\w@/\\]|\.\w)")


def unfamiliar_words(texts: Iterable[str], vocabulary: frozenset[str]) -> tuple[str, ...]:
    """Return the words, as they stand, that neither `vocabulary` (lower case) nor the tables here know, each once.

    Numbers, and words of one or two letters, are left alone; an ending or a beginning makes no new word.
    """
    words = [match[0] for text in texts for match in _WORD.finditer(unicodedata.normalize("NFC", text))]
    return tuple(dict.fromkeys(word for word in words if not _is_known(_plain(word), vocabulary)))


def meant_by(word: str) -> str:
    """Return the word of radiology that an unfamiliar one may be a slip of; empty where none is near. Only words that
    begin alike, or lack or have a first letter more, are compared: a tenth of them."""
    plain = _plain(word)
    lengths = range(len(plain) - 2, len(plain) + 3)
    near = [
        known
        for length in lengths
        for known in _by_length().get(length, ())
        if known[0] in plain[:2] or known[1] == plain[0]
    ]
    nearest = next(iter(get_close_matches(plain, near, n=1, cutoff=_ALIKE)), "")
    stem = _DERIVED.sub("", plain)
    return "" if stem != plain and nearest.startswith(stem) else nearest


@cache
def _by_length() -> Mapping[int, Sequence[str]]:
    lengths: dict[int, list[str]] = defaultdict(list)
    for word in sorted(_own_words()):
        if word.isalpha() and len(word) >= _LEAST_LETTERS:
            lengths[len(word)].append(word)
    return dict(lengths)


def _is_known(word: str, vocabulary: frozenset[str]) -> bool:
    forms = tuple(dict.fromkeys(_forms(word)))
    return any(form in vocabulary or form in _own_words() for form in forms) or not _english().isdisjoint(forms)


def _forms(word: str) -> Iterable[str]:
    """Yield the word, and what is left of it without an ending, a beginning, or both."""
    without_beginnings = [
        word,
        *(
            word.removeprefix(beginning)
            for beginning in _BEGINNINGS
            if word.startswith(beginning) and len(word) > len(beginning) + 3
        ),
    ]
    for form in without_beginnings:
        yield form
        for ending in _ENDINGS:
            stem = form.removesuffix(ending)
            if stem != form and len(stem) > 2:
                yield stem
                yield f"{stem}e"
                yield stem[:-1] if stem[-1] == stem[-2] else stem
                yield f"{stem[:-1]}y" if stem[-1] == "i" else stem


def _plain(word: str) -> str:
    """Return the word in lower case without accents, as BERT's uncased vocabularies are."""
    parts = unicodedata.normalize("NFKD", word.lower().replace("\u2019", "'"))
    return "".join(char for char in parts if not unicodedata.combining(char))


@cache
def _own_words() -> frozenset[str]:
    texts = (*phrases(), *ABBREVIATIONS, *ABBREVIATIONS.values(), _USUAL)
    return lexicon_words() | frozenset(word for text in texts for word in re.findall(r"[\w']+", text.lower()))


@cache
def _english() -> frozenset[str]:
    """Return the whole words of CLIP's vocabulary, read without importing open_clip; none where its file is missing.
    Takes a few hundredths of a second, and is asked for what nothing else knows."""
    spec = find_spec("open_clip")
    path = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz") if spec and spec.origin else None
    if path is None or not path.is_file():
        return frozenset()
    pairs = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()[1:_PAIRS]
    joined = ("".join(pair.split()) for pair in pairs if pair.endswith("</w>"))
    return frozenset(word for piece in joined if (word := piece.removesuffix("</w>")).isalpha() and len(word) > 2)
