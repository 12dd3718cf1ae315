"""Patient journeys: Fed-BioMed's tutorial on federated learning over observations, as an app."""
