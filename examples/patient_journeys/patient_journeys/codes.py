"""What the synthetic centres observe: panels of codes, as Synthea writes them, and how often.

Codes, names and units are LOINC's. How often a panel is taken, and by whom, is invented.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PANELS", "Code", "Panel"]


class Code(NamedTuple):
    """One kind of observation.

    Parameters
    ----------
    code, description : str
        As in the observation table.
    units : str
        Of its value.
    mean, deviation : float
        Of its value, where that is a number; a deviation of 0 stands for a text.
    """

    code: str
    description: str
    units: str = "{score}"
    mean: float = 0.0
    deviation: float = 0.0


class Panel(NamedTuple):
    """Codes that are observed together.

    Parameters
    ----------
    category : str
        Synthea's: ``vital-signs``, ``laboratory``, ``survey``, ``social-history`` or none.
    codes : tuple of Code
        They all are observed, or none.
    rate : tuple of float
        Per centre (US, FR, GB): the probability at one encounter.
    sex : str
        ``M`` or ``F`` where only they have it; empty for everybody.
    ages : tuple of int
        From which age on, and until which.
    """

    category: str
    codes: tuple[Code, ...]
    rate: tuple[float, float, float]
    sex: str = ""
    ages: tuple[int, int] = (0, 120)


PANELS = (
    Panel(
        "vital-signs",
        (
            Code("72514-3", "Pain severity - 0-10 verbal numeric rating", "{score}", 3, 1.5),
            Code("29463-7", "Body Weight", "kg", 78, 14),
            Code("8480-6", "Systolic Blood Pressure", "mm[Hg]", 124, 14),
            Code("8462-4", "Diastolic Blood Pressure", "mm[Hg]", 79, 9),
            Code("9279-1", "Respiratory rate", "/min", 14, 1.5),
            Code("8867-4", "Heart rate", "/min", 78, 10),
        ),
        (0.95, 0.93, 0.94),
    ),
    Panel(
        "social-history",
        (Code("72166-2", "Tobacco smoking status"),),
        (0.9, 0.85, 0.9),
    ),
    Panel(
        "vital-signs",
        (
            Code("8302-2", "Body Height", "cm", 170, 9),
            Code("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", 27, 4),
        ),
        (0.8, 0.7, 0.75),
    ),
    Panel(
        "survey",
        (
            Code("71802-3", "Housing status"),
            Code("93034-6", "Preferred language"),
            Code("63512-8", "How many people are living or staying at this address", "{#}", 2.5, 1),
            Code("67875-5", "Employment status - current"),
            Code("82589-3", "Highest level of education"),
            Code("76437-3", "Primary insurance"),
            Code("63586-2", "What was your best estimate of the total income", "/a", 52000, 21000),
            Code("93038-7", "Stress level"),
        ),
        (0.38, 0.0, 0.1),
    ),
    Panel(
        "survey",
        (
            Code("70274-6", "Generalized anxiety disorder 7 item total score", "{score}", 4, 2),
            Code("55758-7", "Patient Health Questionnaire 2 item total score", "{score}", 1, 0.8),
            Code("75626-2", "Total score [AUDIT-C]", "{score}", 2, 1.5),
        ),
        (0.3, 0.28, 0.34),
    ),
    Panel(
        "laboratory",
        (
            Code("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", 92, 14),
            Code("6299-2", "Urea nitrogen [Mass/volume] in Blood", "mg/dL", 14, 3),
            Code("38483-4", "Creatinine [Mass/volume] in Blood", "mg/dL", 1.0, 0.3),
            Code("49765-1", "Calcium [Mass/volume] in Blood", "mg/dL", 9.4, 0.4),
            Code("2947-0", "Sodium [Moles/volume] in Blood", "mmol/L", 140, 2),
            Code("6298-4", "Potassium [Moles/volume] in Blood", "mmol/L", 4.4, 0.4),
            Code("2069-3", "Chloride [Moles/volume] in Blood", "mmol/L", 104, 3),
            Code("20565-8", "Carbon dioxide, total [Moles/volume] in Blood", "mmol/L", 25, 2),
        ),
        (0.14, 0.2, 0.13),
    ),
    Panel(
        "laboratory",
        (
            Code("6690-2", "Leukocytes [#/volume] in Blood", "10*3/uL", 7, 1.6),
            Code("789-8", "Erythrocytes [#/volume] in Blood", "10*6/uL", 4.7, 0.4),
            Code("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 14.2, 1.3),
            Code("4544-3", "Hematocrit [Volume Fraction] of Blood", "%", 42, 3.5),
            Code("787-2", "MCV [Entitic volume]", "fL", 89, 4),
            Code("785-6", "MCH [Entitic mass]", "pg", 30, 1.6),
            Code("786-4", "MCHC [Mass/volume]", "g/dL", 34, 0.8),
            Code("777-3", "Platelets [#/volume] in Blood", "10*3/uL", 260, 60),
        ),
        (0.1, 0.24, 0.15),
    ),
    Panel(
        "laboratory",
        (
            Code("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 186, 30),
            Code("2571-8", "Triglycerides", "mg/dL", 132, 40),
            Code("18262-6", "Low Density Lipoprotein Cholesterol", "mg/dL", 108, 25),
            Code("2085-9", "High Density Lipoprotein Cholesterol", "mg/dL", 55, 12),
        ),
        (0.14, 0.2, 0.12),
    ),
    Panel(
        "laboratory",
        (
            Code("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 5.6, 0.7),
            Code("33914-3", "Estimated Glomerular Filtration Rate", "mL/min", 88, 18),
            Code("14959-1", "Microalbumin Creatinine Ratio", "mg/g", 14, 8),
        ),
        (0.12, 0.15, 0.08),
    ),
    Panel(
        "laboratory",
        (
            Code("19762-4", "General categories [Interpretation] of Cervical smear"),
            Code("59420-0", "HPV 16 and 18 DNA in Cervix"),
            Code("24606-6", "MG Breast Screening"),
        ),
        (0.62, 0.55, 0.66),
        "F",
        (21, 75),
    ),
    Panel(
        "laboratory",
        (
            Code("2106-3", "Choriogonadotropin (pregnancy test) in Urine"),
            Code("11636-8", "Births total", "{#}", 1.2, 0.8),
        ),
        (0.4, 0.3, 0.45),
        "F",
        (16, 48),
    ),
    Panel(
        "laboratory",
        (
            Code("2857-1", "Prostate specific Ag [Mass/volume] in Serum or Plasma", "ng/mL", 2, 1),
            Code("10508-0", "Prostate volume by ultrasound", "mL", 28, 7),
        ),
        (0.6, 0.75, 0.0),
        "M",
        (45, 90),
    ),
    Panel(
        "laboratory",
        (
            Code("5767-9", "Appearance of Urine"),
            Code("5778-6", "Color of Urine"),
            Code("5792-7", "Glucose [Mass/volume] in Urine by Test strip", "mg/dL", 4, 2),
            Code("5803-2", "pH of Urine by Test strip", "[pH]", 6.1, 0.5),
            Code("5811-5", "Specific gravity of Urine by Test strip", "{nominal}", 1.02, 0.01),
        ),
        (0.06, 0.16, 0.08),
    ),
    Panel(
        "survey",
        (
            Code("59453-1", "Fall risk total [Morse Fall Scale]", "{score}", 25, 10),
            Code("59460-6", "Fall risk level [Morse Fall Scale]"),
        ),
        (0.3, 0.3, 0.1),
        "",
        (65, 120),
    ),
    Panel(
        "laboratory",
        (
            Code("14804-9", "Lactate dehydrogenase in Serum", "U/L", 180, 40),
            Code("1988-5", "C reactive protein in Serum or Plasma", "mg/L", 4, 3),
            Code("2276-4", "Ferritin [Mass/volume] in Serum or Plasma", "ug/L", 110, 50),
            Code("48065-7", "Fibrin D-dimer FEU in Platelet poor plasma", "ug/mL", 0.4, 0.2),
            Code("92130-3", "Rhinovirus RNA in Respiratory specimen"),
            Code("94531-1", "SARS-CoV-2 RNA panel in Respiratory specimen"),
        ),
        (0.01, 0.03, 0.012),
    ),
    Panel(
        "",
        (
            Code("QALY", "QALY", "a", 40, 15),
            Code("DALY", "DALY", "a", 3, 2),
            Code("QOLS", "QOLS", "{score}", 0.9, 0.08),
        ),
        (0.12, 0.12, 0.12),
    ),
)
"""From the most frequent down; 69 codes in all."""
