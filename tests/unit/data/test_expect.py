"""What an analysis may declare of its data: a mistake is found when the model is built."""

import pytest

from flame_flwr.data.expect import Column, Resources, Table
from flame_flwr.errors import ModelError


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Column("integer"), "Column: kind"),
        (lambda: Column(["number"]), "Column: kind"),
        (lambda: Column("text", low=3), "Column: low and high are for columns of numbers"),
        (lambda: Column("number", low="1"), "Column: low"),
        (lambda: Column("number", high=True), "Column: high"),
        (lambda: Column("number", high=float("nan")), "Column: high"),
        (lambda: Column("number", high=10**400), "Column: high"),
        (lambda: Column("number", low=2, high=1), "Column: low must not be above high"),
        (lambda: Column(values="mf"), "Column: values"),
        (lambda: Column(values=[]), "Column: values"),
        (lambda: Column(values=[None]), "Column: values"),
        (lambda: Column(values={"m": 1}), "Column: values"),
        (lambda: Column(unit=5), "Column: unit"),
        (lambda: Column(required="no"), "Column: required"),
        (lambda: Column(most_missing=5), "Column: most_missing"),
        (lambda: Column(most_missing=-0.1), "Column: most_missing"),
        (lambda: Column(most_missing="5%"), "Column: most_missing"),
        (lambda: Column(stops=None), "Column: stops"),
        (lambda: Table(""), "Table: file"),
        (lambda: Table([]), "Table: file"),
        (lambda: Table(["a.csv", 5]), "Table: file"),
        (lambda: Table(5), "Table: file"),
        (lambda: Table("a.csv", ["w"]), "Table: columns"),
        (lambda: Table("a.csv", {"w": "number"}), "Table: column 'w'"),
        (lambda: Table("a.csv", {5: Column()}), "Table: a column's name"),
        (lambda: Table("a.csv", min_rows=-1), "Table: min_rows"),
        (lambda: Table("a.csv", min_rows="1"), "Table: min_rows"),
        (lambda: Table("a.csv", separator="||"), "Table: separator"),
        (lambda: Table("a.csv", separator=None), "Table: separator"),
        (lambda: Table("a.csv", separator="\n"), "Table: separator"),
        (lambda: Table("a.csv", decimal=";"), "Table: decimal"),
        (lambda: Table("a.csv", decimal=","), "Table: decimal"),
        (lambda: Table("a.csv", encoding="utf-99"), "Table: encoding"),
        (lambda: Table("a.csv", encoding="base64"), "Table: encoding"),
        (lambda: Table("a.csv", encoding=None), "Table: encoding"),
        (lambda: Table("a.csv", encoding=5), "Table: encoding"),
        (lambda: Resources("Patient?"), "Resources: type"),
        (lambda: Resources(5), "Resources: type"),
        (lambda: Resources("Patient", at_least=-1), "Resources: at_least"),
        (lambda: Resources("Patient", at_least=True), "Resources: at_least"),
        (lambda: Resources("Patient", code=29463), "Resources: code"),
        (lambda: Resources("Patient", unit=None), "Resources: unit"),
        (lambda: Resources("Patient", low="1"), "Resources: low"),
        (lambda: Resources("Patient", low=2, high=1), "Resources: low must not be above high"),
        (lambda: Resources("Patient", stops=1), "Resources: stops"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_declared(make, named):
    with pytest.raises(ModelError) as raised:
        make()
    assert raised.value.message.startswith(named)
    assert len(raised.value.message) < 300
