"""Registries of one dataset each."""

DATASET = '[[dataset]]\nname = "n"\ntype = "s3"\nprojects = ["*"]\nurl = "/srv"\n'

S3 = DATASET.replace("/srv", "s3://bucket")

FHIR = DATASET.replace("/srv", "fhir+https://host").replace('"s3"', '"fhir"')
