"""Linear attenuation coefficients (1/mm) of what is in the beam, at 60 keV.

Mass attenuation coefficients of Hubbell & Seltzer (NIST Standard Reference Database 126,
doi:10.18434/T4D01F) times the density. Between them 1 mm of anything takes its factor exp(−μ).
"""

WATER = 0.2059 * 1.000 / 10  # soft tissue and blood are within a few per cent of it
LUNG = 0.2053 * 0.30 / 10  # inflated
CORTICAL_BONE = 0.3148 * 1.92 / 10
SPONGY_BONE = 0.24 * 1.18 / 10  # marrow and trabeculae: a fifth of it is bone
IODINE = 7.579 / 1e4  # for each mg of iodine in a ml
STEEL = 1.205 * 7.9 / 10  # as iron
TITANIUM = 0.7661 * 4.5 / 10
CONTRAST = WATER + 185 * IODINE  # a contrast medium of 370 mg/ml, halved by blood
MARKER = 2.0  # platinum coil of a wire's tip: its windings let part of the beam pass
POLYMER = 0.12  # of a catheter, loaded with barium sulphate
