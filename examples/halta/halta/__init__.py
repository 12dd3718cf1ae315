"""The HALTA Long COVID study: descriptive statistics and a linear SVM over several hospitals."""
