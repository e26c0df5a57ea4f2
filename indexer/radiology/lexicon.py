"""List what radiologists call things: findings, devices, views. Plain data, written for this project.

A term's `meaning` says which other ideas it implies and how strongly (0 to 1), so that a disease lies near the
pattern it usually shows on a film: general radiological knowledge, not taken from any data set.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Term:
    """One idea. `names` are what it is called, `signs` how it looks or is described in other words."""

    names: tuple[str, ...]
    signs: tuple[str, ...] = ()
    meaning: dict[str, float] = field(default_factory=dict)
    sided: bool = False
    graded: bool = False
    placed: bool = False


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split("|") if part.strip())


def _term(names: str, signs: str = "", *, like: str = "", how: str = "") -> Term:
    meaning = {key: float(weight) for key, weight in (pair.split("=") for pair in like.split())}
    return Term(_split(names), _split(signs), meaning, "s" in how, "g" in how, "p" in how)


TERMS: dict[str, Term] = {
    "no finding": _term(
        """normal chest x-ray | normal chest radiograph | normal study | no acute findings | clear lungs
        | unremarkable chest x-ray
        | no abnormality | no acute cardiopulmonary disease | no active disease | normal heart and lungs
        | healthy lungs | negative chest film
        | no acute abnormality | unremarkable study | within normal limits""",
        """the lungs are clear | lungs are clear without focal opacity
        | no focal airspace disease, effusion or pneumothorax
        | heart size is normal and the lungs are clear | no evidence of acute disease | nothing abnormal seen
        | sharp costophrenic angles and clear lung fields
        | normal cardiomediastinal silhouette, clear lungs | no radiographic abnormality | healthy chest""",
    ),
    "pneumonia": _term(
        """pneumonia | lung infection | pulmonary infection | infection of the lung | chest infection
        | pneumonic changes
        | lower respiratory tract infection | infectious pneumonia | pneumonitis | bronchopneumonia
        | infected lung | pneumonic consolidation""",
        """airspace disease from infection | infective change in the lung | opacity suspicious for pneumonia
        | findings of pneumonia
        | infectious infiltrate | respiratory infection with opacities | airspace opacity concerning for infection""",
        like="opacity=0.5",
        how="sgp",
    ),
    "infiltration": _term(
        """infiltrate | pulmonary infiltrate | lung infiltrates | infiltration | patchy infiltrate
        | interstitial infiltrates | parenchymal infiltrate
        | ill-defined infiltrates | hazy infiltrates | patchy opacities""",
        """poorly defined opacities in the lung parenchyma | patchy areas of increased density
        | hazy patchy shadowing | vague parenchymal densities
        | ill-defined patchy lung shadowing | parenchymal opacification | scattered hazy opacities""",
        like="opacity=0.6",
        how="sgp",
    ),
    "consolidation": _term(
        """consolidation | lung consolidation | airspace consolidation | lobar consolidation | consolidated lung
        | focal consolidation | alveolar consolidation
        | dense airspace opacity""",
        """air bronchograms | dense opacification with air bronchograms | solid white lobe
        | homogeneous opacification of a lobe | alveolar filling
        | silhouette sign from consolidated lung | opaque lobe""",
        like="opacity=0.6 pneumonia=0.2",
        how="sgp",
    ),
    "opacity": _term(
        """opacity | lung opacity | airspace opacity | airspace disease | pulmonary opacity | parenchymal opacity
        | shadowing | opacification | increased density
        | abnormal density in the lung""",
        "whiter area in the lung | area of abnormal lung density | focal lung shadow",
        how="sgp",
    ),
    "ground-glass": _term(
        """ground-glass opacity | ground-glass opacities | ground glass shadowing | GGO | hazy opacity
        | hazy opacification | hazy ground-glass change""",
        "haziness that does not hide the vessels | faint hazy density | veil-like haze of the lung",
        like="opacity=0.6",
        how="sgp",
    ),
    "interstitial": _term(
        """interstitial opacities | interstitial markings | reticular opacities | interstitial lung disease
        | reticulonodular pattern | interstitial thickening
        | increased interstitial markings""",
        "fine lines throughout the lungs | net-like lung pattern | prominent lung markings",
        like="opacity=0.3",
        how="gp",
    ),
    "atelectasis": _term(
        """atelectasis | collapse | lung collapse | lobar collapse | subsegmental atelectasis | plate atelectasis
        | linear atelectasis | discoid atelectasis
        | atelectatic change | partial collapse of the lung | collapsed lobe | segmental collapse""",
        """volume loss | loss of lung volume | band-like opacity at the base | linear density from collapse
        | airless lung segment | lung segment that has lost volume
        | shift of the fissure from volume loss | collapse and volume loss | dependent atelectatic bands""",
        like="opacity=0.3",
        how="sgp",
    ),
    "edema": _term(
        """pulmonary edema | pulmonary oedema | interstitial edema | alveolar edema | lung edema | edema
        | pulmonary congestion | vascular congestion
        | pulmonary vascular congestion | fluid overload | cardiogenic pulmonary edema | flash pulmonary edema""",
        """congestive heart failure | heart failure | wet lungs | volume overload | Kerley B lines | septal lines
        | bat-wing perihilar opacities | cephalization of vessels
        | upper lobe blood diversion | too much fluid in the lungs | engorged pulmonary vessels
        | cardiac decompensation""",
        like="opacity=0.3 bilateral=0.3 perihilar=0.2",
        how="g",
    ),
    "effusion": _term(
        """pleural effusion | effusion | pleural fluid | hydrothorax | fluid around the lung
        | fluid in the chest cavity | pleural collection | layering effusion
        | subpulmonic effusion | effusions""",
        """costophrenic angle blunting | blunting of the costophrenic sulcus | obscured costophrenic angle
        | meniscus sign | fluid layering in the pleural cavity
        | liquid between lung and chest wall | hazy base from layering fluid | fluid collected in the pleura
        | opacified hemithorax with meniscus | obliterated costophrenic recess""",
        how="sg",
    ),
    "pneumothorax": _term(
        """pneumothorax | collapsed lung from pneumothorax | air in the pleural space | pleural air
        | tension pneumothorax | PTX | hydropneumothorax""",
        """visible visceral pleural line | absent lung markings beyond a pleural edge | air around the lung
        | free air between lung and chest wall | deep sulcus sign
        | lung edge separated from the chest wall""",
        how="sgp",
    ),
    "cardiomegaly": _term(
        """cardiomegaly | cardiac enlargement | large heart | big heart | enlarged cardiac silhouette
        | enlarged cardiomediastinal silhouette | dilated heart
        | heart enlargement | prominent cardiac silhouette""",
        """cardiothoracic ratio above 0.5 | heart is enlarged | wide heart shadow
        | heart wider than half the chest | globular heart | cardiac size is increased | widened cardiac shadow""",
        how="g",
    ),
    "mass": _term(
        """mass | pulmonary mass | lung tumor | lung tumour | lung cancer | neoplasm | large focal lesion
        | bronchogenic carcinoma | mass lesion | malignancy""",
        """rounded opacity larger than three centimetres | big round density suspicious for malignancy
        | space-occupying lesion | lobulated large lesion
        | large rounded lesion | tumour in the lung""",
        like="opacity=0.2 nodule=0.4",
        how="sp",
    ),
    "nodule": _term(
        """nodule | lung nodule | solitary pulmonary nodule | pulmonary nodules | nodular opacity
        | nodular density | coin-shaped lesion | small round lesion | multiple nodules""",
        """small rounded density | round spot in the lung | well-defined small round shadow | spot on the lung
        | rounded focus under three centimetres""",
        like="opacity=0.2 mass=0.3",
        how="sp",
    ),
    "pleural thickening": _term(
        """pleural thickening | pleural scarring | thickening of the pleura | apical cap | pleural plaque
        | pleural fibrosis | biapical pleural thickening | pleural scar""",
        "thick pleural line | irregular thick pleura at the apex | scarred pleura | apical scarring | fibrothorax",
        like="effusion=0.15",
        how="sp",
    ),
    "emphysema": _term(
        """emphysema | COPD | hyperinflation | hyperinflated lungs | emphysematous change | bullous emphysema
        | chronic obstructive pulmonary disease | overinflated lungs""",
        "flattened diaphragms | hyperlucent lungs | bullae | barrel chest | air trapping | large dark lungs",
        how="g",
    ),
    "fibrosis": _term(
        """fibrosis | pulmonary fibrosis | lung scarring | fibrotic change | scarring | parenchymal scar
        | interstitial fibrosis | honeycombing""",
        "scarred lung | coarse reticular lines with traction | shrunken scarred lung",
        like="interstitial=0.5",
        how="sgp",
    ),
    "hernia": _term(
        """hiatal hernia | hiatus hernia | diaphragmatic hernia | hernia | intrathoracic stomach""",
        "retrocardiac air-fluid level | stomach above the diaphragm | gas bubble behind the heart",
        how="g",
    ),
    "fracture": _term(
        """rib fracture | broken rib | fractured rib | displaced rib fracture | rib fractures | fracture""",
        "step in the rib | cortical break of a rib | discontinuous rib",
        how="s",
    ),
    "scoliosis": _term("scoliosis | curved spine | spinal curvature | thoracic scoliosis", "spine bends to the side"),
    "cavity": _term(
        "cavity | cavitation | cavitary lesion | lung abscess", "hole in a lung lesion", how="sp", like="opacity=0.2"
    ),
    "granuloma": _term(
        "calcified granuloma | granuloma | calcified nodule | old granulomatous disease", like="nodule=0.5", how="sp"
    ),
    "hilar": _term("hilar enlargement | enlarged hila | hilar lymphadenopathy | prominent hilum | adenopathy", how="s"),
    "aorta": _term("tortuous aorta | aortic calcification | unfolded aorta | atherosclerotic aorta | ectatic aorta"),
    "device": _term(
        "support device | lines and tubes | medical device | hardware | implanted device | tubes and lines in place"
    ),
    "pacemaker": _term(
        "pacemaker | cardiac pacemaker | ICD | implantable defibrillator | pacer | dual-chamber pacemaker",
        "pacemaker leads | pulse generator in the chest wall | cardiac device with leads | defibrillator leads",
        like="device=0.5",
        how="s",
    ),
    "tube": _term(
        "endotracheal tube | ET tube | ETT | breathing tube | intubated patient | tracheal tube | tracheostomy",
        "tube in the trachea | patient is intubated | tube tip above the carina",
        like="device=0.5",
    ),
    "nasogastric": _term(
        "nasogastric tube | NG tube | feeding tube | enteric tube | gastric tube | Dobbhoff tube",
        "tube passing into the stomach | tube below the diaphragm",
        like="device=0.5",
    ),
    "line": _term(
        "central venous catheter | central line | PICC line | jugular line | subclavian catheter | port catheter | CVC",
        "catheter tip in the superior vena cava | catheter ending at the cavoatrial junction",
        like="device=0.5",
        how="s",
    ),
    "chest tube": _term(
        "chest tube | pleural drain | thoracostomy tube | intercostal drain | chest drain",
        "drain in the pleural space",
        like="device=0.5",
        how="s",
    ),
    "sternotomy": _term(
        "sternotomy wires | median sternotomy | CABG | post cardiac surgery | prosthetic valve", like="device=0.3"
    ),
    "viral pneumonia": _term(
        """viral pneumonia | virus pneumonia | viral lung infection | viral chest infection
        | pneumonia of viral origin | viral pneumonitis | atypical viral pneumonia""",
        """diffuse interstitial pneumonia from a virus | lungs infected by a virus
        | hazy bilateral opacities of viral infection""",
        like="pneumonia=0.6 ground-glass=0.3 bilateral=0.3 opacity=0.3",
    ),
    "covid-19": _term(
        """COVID-19 | COVID-19 pneumonia | COVID pneumonia | coronavirus disease 2019 | SARS-CoV-2 pneumonia
        | SARS-CoV-2 infection | novel coronavirus pneumonia
        | corona virus lung infection | coronavirus pneumonia | COVID""",
        """peripheral ground-glass opacities typical of COVID-19
        | multifocal bilateral peripheral opacities of COVID-19 | bilateral lower zone opacities in COVID-19
        | lung changes of the 2020 pandemic virus""",
        like="viral%pneumonia=0.6 pneumonia=0.5 ground-glass=0.4 bilateral=0.4 peripheral=0.3 lower=0.2 opacity=0.3",
    ),
    "sars": _term(
        """SARS | severe acute respiratory syndrome | SARS pneumonia | SARS-CoV-1 pneumonia
        | SARS coronavirus infection | SARS 2003 outbreak""",
        "airspace opacity in severe acute respiratory syndrome | chest film of the 2003 coronavirus epidemic",
        like="viral%pneumonia=0.6 pneumonia=0.5 opacity=0.4 lower=0.2 peripheral=0.2 covid-19=0.3",
    ),
    "influenza pneumonia": _term(
        "influenza pneumonia | flu pneumonia | H1N1 pneumonia | swine flu pneumonia | influenza A pneumonia",
        like="viral%pneumonia=0.6 pneumonia=0.5 bilateral=0.3 ground-glass=0.2",
    ),
    "varicella pneumonia": _term(
        "varicella pneumonia | chickenpox pneumonia | varicella zoster pneumonia",
        "tiny nodules from chickenpox",
        like="viral%pneumonia=0.5 pneumonia=0.5 nodule=0.4 bilateral=0.3",
    ),
    "bacterial pneumonia": _term(
        """bacterial pneumonia | bacterial lung infection | bacterial lobar pneumonia | lobar pneumonia
        | pneumonia from bacteria | pyogenic pneumonia | community acquired bacterial pneumonia""",
        """lobar consolidation from bacterial infection | focal one-sided pneumonia
        | dense lobar bacterial consolidation""",
        like="pneumonia=0.6 consolidation=0.5 opacity=0.3",
        how="sp",
    ),
    "streptococcus pneumonia": _term(
        "streptococcus pneumonia | pneumococcal pneumonia | streptococcal pneumonia | strep pneumonia",
        like="bacterial%pneumonia=0.7 pneumonia=0.5 consolidation=0.5",
    ),
    "klebsiella pneumonia": _term(
        "klebsiella pneumonia | Friedlander pneumonia",
        "bulging fissure from klebsiella",
        like="bacterial%pneumonia=0.7 pneumonia=0.5 consolidation=0.5 upper=0.2",
    ),
    "legionella pneumonia": _term(
        "legionella pneumonia | Legionnaires disease | legionellosis",
        like="bacterial%pneumonia=0.7 pneumonia=0.5 consolidation=0.5",
    ),
    "e. coli pneumonia": _term(
        "E. coli pneumonia | Escherichia coli pneumonia", like="bacterial%pneumonia=0.7 pneumonia=0.5 consolidation=0.3"
    ),
    "mycoplasma pneumonia": _term(
        "mycoplasma pneumonia | walking pneumonia | atypical bacterial pneumonia",
        like="bacterial%pneumonia=0.6 pneumonia=0.5 interstitial=0.3",
    ),
    "chlamydophila pneumonia": _term(
        "chlamydophila pneumonia | chlamydia pneumonia | psittacosis",
        like="bacterial%pneumonia=0.6 pneumonia=0.5 interstitial=0.3",
    ),
    "pneumocystis pneumonia": _term(
        """pneumocystis pneumonia | PCP pneumonia | pneumocystis jirovecii | pneumocystis carinii pneumonia | PJP
        | opportunistic pneumonia in AIDS | fungal pneumonia""",
        """bilateral perihilar haze in HIV | opportunistic lung infection in an immunosuppressed patient
        | central ground-glass opacities in AIDS | pneumonia in HIV infection""",
        like="pneumonia=0.5 ground-glass=0.5 perihilar=0.4 bilateral=0.4 opacity=0.3",
    ),
    "lipoid pneumonia": _term(
        "lipoid pneumonia | oil aspiration pneumonia", like="pneumonia=0.6 consolidation=0.3 lower=0.3"
    ),
    "aspiration": _term(
        "aspiration pneumonia | aspiration | aspirated material in the lung",
        like="pneumonia=0.6 lower=0.4 opacity=0.3",
        how="s",
    ),
    "tuberculosis": _term(
        "tuberculosis | TB | pulmonary tuberculosis | active TB", like="pneumonia=0.4 upper=0.4 cavity=0.4", how="sp"
    ),
    "ards": _term(
        """ARDS | acute respiratory distress syndrome | adult respiratory distress syndrome | acute lung injury
        | diffuse alveolar damage | shock lung""",
        """bilateral white-out of the lungs | white lungs
        | diffuse bilateral airspace opacification in a ventilated patient | noncardiogenic pulmonary edema
        | near complete opacification of both lungs | severe respiratory failure with diffuse opacities""",
        like="opacity=0.5 bilateral=0.5 diffuse=0.4 edema=0.4 severe=0.3 tube=0.3 consolidation=0.3",
    ),
    "view PA": _term(
        """PA view | PA chest x-ray | posteroanterior view | PA projection | PA erect chest | upright PA film
        | posterior-anterior chest radiograph | standing chest x-ray
        | erect PA radiograph | departmental PA film""",
        """patient standing with the chest against the detector | routine upright frontal view
        | scapulae clear of the lungs""",
        like="frontal=0.5 erect=0.5",
    ),
    "view AP": _term(
        """AP view | AP chest x-ray | anteroposterior view | AP projection | portable chest x-ray
        | bedside chest radiograph | mobile chest film | portable AP film
        | anterior-posterior chest radiograph | ward film""",
        "film taken at the bedside | portable radiograph of a patient in bed | intensive care portable film",
        like="frontal=0.5",
    ),
    "view AP SUPINE": _term(
        """supine AP view | supine chest x-ray | AP supine film | supine portable radiograph
        | lying down chest x-ray | patient supine | recumbent chest film""",
        "film with the patient on the back | patient lying in bed | taken lying flat | supine intensive care film",
        like="view%AP=0.7 frontal=0.5",
    ),
    "view AP ERECT": _term(
        "AP erect view | erect AP chest x-ray | AP upright film | sitting AP chest x-ray | semi-erect AP film",
        like="view%AP=0.7 frontal=0.5 erect=0.5",
    ),
    "view LATERAL": _term(
        """lateral view | lateral chest x-ray | lateral projection | side view | lateral film
        | left lateral chest radiograph | profile view | lateral chest""",
        "chest seen from the side | retrosternal space on the lateral | radiograph in profile | sideways chest film",
    ),
    "frontal": _term("frontal view | frontal chest x-ray | frontal projection | front view"),
    "male": _term("man | male patient | x-ray of a man | adult male"),
    "female": _term("woman | female patient | x-ray of a woman | adult female | breast shadows"),
    "child": _term("child | pediatric chest x-ray | infant | paediatric film | chest x-ray of a child"),
    "elderly": _term("elderly patient | old patient | senior patient | aged patient"),
    "rotated": _term("rotated film | patient rotation | poorly centred film | rotated patient"),
    "low volume": _term("low lung volumes | poor inspiration | hypoinflation | expiratory film | shallow inspiration"),
}


def term_of(idea: str) -> Term:
    """Return the term of an idea; one that the lexicon lacks has its own name, and nothing more is known of it."""
    return TERMS.get(idea) or Term((idea,))
