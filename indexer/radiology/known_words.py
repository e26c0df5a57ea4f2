"""Tell which words of a query nothing here knows: a slip of the pen, another language, a name.

What is known is what the lexicon, the abbreviations and the model's own vocabulary hold as whole words; ordinary
English, which CLIP's vocabulary holds (Radford et al., 2021; open_clip brings it); and the words below: usual ones of
chest radiology and of asking for films, which a model of word pieces reads without holding them.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from filmroom.indexer.radiology.abbreviations import ABBREVIATIONS, lexicon_words
from filmroom.indexer.radiology.vocabulary import phrases

_USUAL = """
abdomen abdominal abnormal abnormality abscess accentuated achalasia acromioclavicular acute adenocarcinoma adenopathy
adjacent adolescents adult aerated aeration aetiology agenesis air airspace airway airways alongside alveolar
ambulance amiodarone amplatzer amyloidosis anaemia anastomosis anemia anesthesia aneurysm aneurysmal angiogram
angiography angle angles angulated ankylosing annular annuloplasty anomalous anomaly anterior anteroposterior
anthracosis aorta aortic aortogram aortopulmonary apex apical apices apnea apnoea appearance appendage arch arrhythmia
artefact artefacts arterial arteries artery arthritic arthritis arthropathy arthroplasty artifact artifacts
artifactual asbestos asbestosis ascending ascites aspergilloma aspergillosis aspirated aspiration asthma asymmetric
asymmetry asymptomatic atelectatic atherosclerosis atherosclerotic atresia atrial atrium attenuation axilla axillary
azygos babies baby bandlike bariatric barium basal base bases basilar batwing benign biapical bibasal bibasilar bifid
bifurcation bihilar bilateral biliary bioprosthetic biopsy blastic bleb blebs bleed blunted blunting blurred blurry
bochdalek boerhaave bony borderline brachiocephalic brachytherapy bradycardia breast breasts breath breathing bronchi
bronchial bronchiectasis bronchiectatic bronchiolitis bronchitis bronchoalveolar bronchocele bronchogenic bronchogram
broncholith broncholithiasis bronchopleural bronchopulmonary bronchoscopic bronchoscopy bronchovascular bronchus bulla
bullae bullet bullous button cachexia calcific calcification calcifications calcified calcium calculi callus cancer
cancers cannonball cannula cannulation carcinoid carcinoma carcinomatosa carcinomatosis cardia cardiac cardiogenic
cardiomediastinal cardiomyopathies cardiomyopathy cardiophrenic cardiopulmonary cardiothoracic cardioverter carina
carinatum cartilage cath catheter catheterisation catheterization catheterized catheters cavitary cavitates cavitating
cavitation cavities centrilobular cephalization cervical characterization chemotherapy chest chilaiditi child children
cholecystectomy cholelithiasis chronic chronicity chylothorax chylous cirrhosis clavicle clavicles clavicular clearing
clearly clinic clip clips coarctation coarse coarsened coccidioidomycosis coil coiled coils coin collapse collapsed
collateral colonic colostomy compared comparison complete complicate complication compression compressive confluence
confluent congenital congested congestion congestive conglomerate consolidative conspicuous contour contours
contralateral contrast contusion contusions convexity coronary coronavirus correlate correspond corresponding costal
costochondral costophrenic cough covid crackles crescent cropped crowding cryptogenic cuffing curvilinear cyst cystic
cysts debris decompensated decompensation decubitus defibrillator definite deformities deformity degenerative dehisced
dehiscence demineralization demineralized dense densities density deviated deviation device devices dextrocardia
dextrocurvature dextroposition diabetic diagnose diagnosed diagnosis dialysis diaphragm diaphragmatic diarrhea
diarrhoea diffuse dilatation dilated dilation diminished discoid discrete dislocated dislocation displaced
displacement dissection distal distended distension distention diverticulum dizziness dobbhoff dobhoff doctor dorsal
drain drainage drains duodenal duodenum dysphagia dysplasia dyspnea dyspneic dyspnoea ebstein echocardiogram ectasia
ectatic edematous effusions eggshell eisenmenger elderly electrocardiogram electrode electrodes elevated elevation
emboli embolic embolism embolization embolus emergency emphysematous empyema empyemas encapsulated encephalopathy
enchondroma endobronchial endotracheal endplate engorgement enlarged enlargement enlarging enteric eosinophilic
epicardial epidural epigastric erect erosion erosions esophageal esophagectomy esophagus etiology eventration evident
exacerbation exaggerated exam exams excavatum exertion exostosis expansile expiration expiratory exposure extremity
extubated extubation exudate exudative fallot farmers female females femoral femur fever fibrillation fibroid fibroma
fibronodular fibrosing fibrothorax fibrotic film films findings fissural fissure fissures fistula flail flattened
flattening fleischner flipped fluffy fluoroscopy flutter focal foci focus followup foreign fractured fractures frontal
fullness fundus fungal gallbladder ganz gastric gastroesophageal gastrointestinal gastrostomy generator ghon gibbus
glenohumeral glenoid globular goiter goitre goodpasture granular granuloma granulomas granulomatosis granulomatous
groshong gunshot habitus haematemesis haematoma haemoptysis haemorrhage haemorrhagic haemothorax hamartoma hampton
haziness hazy healed healing heart heimlich hematemesis hematoma hemidiaphragm hemidiaphragms hemithorax hemodialysis
hemodynamic hemoptysis hemorrhage hemorrhagic hemothorax hepatic hepatocellular hepatomegaly hernia herniated herniation
hiatal hiatus hickman hila hilar hilum histiocytosis histoplasmosis hodgkin honeycomb honeycombing hospitalised
hospitalized humeral humerus hyaline hydatid hydronephrosis hydropneumothorax hyperaerated hyperaeration hyperdense
hyperexpanded hyperexpansion hyperinflated hyperinflation hyperlucency hyperlucent hyperostosis hypersensitivity
hypertension hypertensive hypertrophic hypertrophy hypoinflated hypoinflation hypoplasia hypoplastic hypotension
hypoventilation hypoventilatory hypoxemia hypoxia hypoxic iatrogenic icu idiopathic ileostomy ileus image images
immunocompromised immunosuppressed immunosuppression impacted impaction impella implant implantable implants improved
improvement improving inadequate incidental indeterminate indistinct indwelling infant infants infarct infarction
infected infection infections infectious infective inferior infiltrates infiltrating infiltrative inflamed inflammation
inflammatory inflated inflow influenza infradiaphragmatic infrahilar ingested inguinal inhalation innominate innumerable
inpatient inpatients inspiration inspiratory insufficiency intact intercostal interlobar interlobular intermittent
interposition interstitial interstitium interval intraabdominal intramedullary intraperitoneal intrapulmonary
intrathoracic intravascular intubated intubation inversus inverted ipsilateral irregular irregularities irregularity
ischaemic ischemic jejunal jejunostomy jugular juxtahilar juxtaphrenic kartagener kink kinked kinking klebsiella
kyphoplasty kyphoscoliosis kyphosis kyphotic laceration lamellar laryngeal lateral lateralis lead leads leftward
legionella leiomyoma lesion lesions leukaemia leukemia leukocytosis levocurvature lightheaded lightheadedness line
linear lines lingula lingular lipoma lobar lobe lobectomy lobes lobular lobulated loculated loculation lordotic
lucencies lucency lucent lumbar lumbosacral lumen lung lungs lupus lymph lymphadenopathy lymphangioleiomyomatosis
lymphangitic lymphangitis lymphocytic lymphoma lymphomatous lytic macklin magnified malaligned male males malignancies
malignancy malignant malposition malpositioned malrotated mammogram mammography manubrium marfan margin marginal
markedly markers markings mass masses mastectomy measles mechanical meconium medial mediastinal mediastinitis
mediastinoscopy mediastinotomy mediastinum megaesophagus melanoma mesenteric mesothelioma metallic metastasis metastatic
miliary mimic mimicked mimicking misaligned misplaced misread mitraclip mitral moderate moderately monitor morbid
morgagni motion mottled mucoid mucus multifocal multilevel multilobar multiloculated multinodular multiple mycetoma
mycobacterial mycobacterium mycoplasma mycotic myeloma myocardial narrowed narrowing nasoenteric nasogastric nasojejunal
nausea neck necrosis necrotic necrotizing needle neonatal neonate neoplasm neoplastic nephrostomy neurofibroma
neurofibromatosis neurosurgical newborn newborns nipple nipples nocardia nodal nodes nodular nodularity nodules
noncardiogenic nonproductive nonspecific nontuberculous numbness obese obesity oblique obliterated obliteration
obscuration obscured obscures obscuring obstructed obstruction obstructive occluded occluder occult oedema oedematous
oesophageal oesophagectomy oesophagus oligemia opacification opacified opacities opaque orogastric orthopaedic
orthopedic osseous osseus ossification osteoarthritis osteochondroma osteolysis osteolytic osteomyelitis osteopenia
osteopenic osteophyte osteophytes osteoporosis osteoporotic osteosarcoma outflow outpatient outpatients overexposed
overinflated overinflation overlap overlapping overlie overload overlying overpenetrated overt overweight ovoid paced
pacer pacing paediatric palpitations pancoast pancreatitis papilloma paracardiac paraesophageal paragonimiasis
paramediastinal parapneumonic paraseptal paraspinal paratracheal parenchyma parenchymal patchy pathologic pathological
pathology patients patulous pectus pediatric pelvic pelvis penetration percutaneous percutaneously perforated
perforation perfusion peribronchial peribronchovascular pericardial pericardiocentesis pericarditis pericardium
perihilar perilymphatic periosteal peripheral peripherally periphery peritoneum perivascular permanent permeative
phlebolith phlegmon phrenic piercing piercings pigtail pillow plaque plaques plate platelike plethora pleura pleural
pleurectomy pleurisy pleuritic pleuritis pleurodesis pleuroparenchymal plombage pneumatocele pneumatoceles pneumatosis
pneumobilia pneumocephalus pneumoconiosis pneumocystis pneumocytoma pneumomediastinum pneumonectomy pneumonias pneumonic
pneumonitis pneumopericardium pneumoperitoneum pneumothoraces poland port porta portable posterior postero
posteroanterior posterolateral postmortem postop postoperative postprocedural postsurgical ppd precarinal predominance
predominantly pregnancy pregnant premature preop preoperative preterm prevertebral projectile projection prolapse
prominence prominent prone prostatectomy prostheses prosthesis prosthetic proteinosis proximal pseudomonas pseudotumor
pulmonary pulmonic purulent pyloric pylorus quadrant questionable radiating radiodense radiodensity radiograph
radiographic radiographs radiography radiologic radiological radiologist radiologists radiology radiolucent radiopaque
radiotherapy rales reaccumulation rectal recurrence recurrent redemonstrated redemonstration redistribution reexpanded
reexpansion reflux reinflation reintubated resected resection resident residual resolved resolving respiratory retained
reticular reticulation reticulonodular retrocardiac retrolisthesis retroperitoneal retroperitoneum retrosternal
rheumatoid rib ribcage ribs rightward rotated rotation rotator rounded rupture ruptured sabre sacral sacroiliac sacrum
sarcoid sarcoidosis sarcoma sars satisfactory saturation scapula scapulae scapular scar scarred scarring scars scattered
schwannoma scimitar scleroderma sclerosed sclerosis sclerotic scoliosis scoliotic screening segmental semierect
semiupright senescent sepsis septal septate septations septic septum sequela sequelae sequestration shadow shadowing
shallow sharply sheath shortness shoulder shrapnel shunt sickle sigmoid silhouette silhouetting silicosis sinus situs
skinfold sliding sloughing smoker smokers sonographic spiculated spinal spine spleen splenic splenomegaly spondylitis
spondylosis spondylotic sprengel spurring sputum squamous staphylococcus staples stenosis stenotic stent stents sternal
sternoclavicular sternotomy sternum stimulator stomach stomal streaks streaky streptococcus stylet subacute subarachnoid
subcarinal subclavian subcutaneous subdiaphragmatic subglottic subluxation submaximal suboptimal suboptimally subphrenic
subpleural subpulmonic subsegmental subtle suggestive sulci sulcus superficial superimposed superior supine
supraclavicular supradiaphragmatic surgical surgically suspected suspicious suture sutures swallowed swan swelling swyer
symmetric symmetrical symptomatic syncope syndrome synovial systemic tachycardia tachypnea tachypnoea tamponade tapered
teenager teenagers tenderness tension teratoma terminate testicular testis tetralogy thickened thickening thoracentesis
thoracic thoracolumbar thoracoplasty thoracoscopy thoracostomy thoracotomy thorax thrombosis thrombus thymectomy thymic
thymoma thymus thyroid tightness tingling toddler toddlers tomographic tomography torsion tortuosity tortuous trachea
tracheal tracheobronchial tracheomalacia tracheostomy transjugular transplant transplanted transposition transvenous
transverse trapping trauma traumatic traversing tricuspid tubal tubercle tubercular tuberculosis tuberculous tubes
tubing tubular tumor tumors tumour tumours typical ulcer ultrasound unchanged unclear uncoiled uncomplicated
underexposed underinflated underinflation underpenetrated underweight undisplaced unfolded unfolding unifocal unilateral
unreadable unremarkable unresolved upright upside ureteral vaguely valve valves valvular valvuloplasty varicella varices
varicose vascular vascularity vasculature vasculitis vasculopathy vein veins vena venous ventilated ventilation
ventilator ventral ventricle ventricles ventricular ventriculoperitoneal vertebra vertebrae vertebral vertebroplasty
vessel vessels viral visceral visualised visualized volume volvulus vomiting watchman wedge wegener westermark
wheelchair wheeze wheezing whiteout widened widening wire wires woman workup worrisome worsened worsening xray xrays
zipper
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
_WORD = re.compile(r"(?<![\w'\u2019@./\\])[^\W\d_]{3,}(?:['\u2019]s)?(?![\w@/\\]|\.\w)")


def unfamiliar_words(texts: Iterable[str], vocabulary: frozenset[str]) -> tuple[str, ...]:
    """Return the words, as they stand, that neither `vocabulary` (lower case) nor the tables here know, each once.

    Numbers, and words of one or two letters, are left alone; an ending or a beginning makes no new word.
    """
    found = [match[0] for text in texts for match in _WORD.finditer(unicodedata.normalize("NFC", text))]
    return tuple(dict.fromkeys(word for word in found if not _is_known(_plain(word), vocabulary)))


def _is_known(word: str, vocabulary: frozenset[str]) -> bool:
    forms = tuple(dict.fromkeys(_forms(word)))
    return any(form in vocabulary or form in _own_words() for form in forms) or not _english().isdisjoint(forms)


def _forms(word: str) -> Iterable[str]:
    """Yield the word, and what is left of it without an ending, a beginning, or both."""
    whole = [
        word,
        *(word.removeprefix(one) for one in _BEGINNINGS if word.startswith(one) and len(word) > len(one) + 3),
    ]
    for form in whole:
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
    return frozenset(word for whole in joined if (word := whole.removesuffix("</w>")).isalpha() and len(word) > 2)
