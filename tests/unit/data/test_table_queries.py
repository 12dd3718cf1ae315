"""What a model asks of tables, also of those that a tester or a function gives."""

from datetime import date

import pandas as pd
import pytest

from flame_flwr.data.open_data import open_data
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import DataError, ModelError
from flame_flwr.star import StarModel, StarModelTester

from .summed_ages import Ages, Total


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": 3}, "query must be a list of names"),
        ({"query": {"since": [1]}}, "'since' must be a text, a number, True, False or a date"),
        ({"query": {1: 2}}, "values by the names of parameters"),
        ({"columns": ["a\x00"]}, "columns must be a list of names, each a text"),
        ({"columns": [3]}, "columns must be a list of names, each a text"),
        ({"data_type": "s3", "columns": ["a"]}, "columns are those of tables, of data_type 'sql'"),
        ({"data_type": "s3", "query": {"a": 1}}, "query must be a string, a list of strings"),
    ],
)
def test_wrong_models(arguments, message):
    with pytest.raises(ModelError) as raised:
        StarModel(Ages, Total, **{"data_type": "sql", **arguments})
    assert message in raised.value.message


def test_a_model_says_what_it_asks_for():
    query = {"since": date(2020, 1, 1), "sex": "f"}
    model = StarModel(Ages, Total, "sql", query, columns=["age", "people.sex"])
    assert TableQuery.read(model.plan.asked).parameters == {"since": "2020-01-01", "sex": "f"}
    about = model.declaration.about()
    assert about["columns"] == "age, people.sex"
    assert about["query"] == "{'since': '2020-01-01', 'sex': 'f'}"
    assert TableQuery.read(StarModel(Ages, Total, "sql").plan.asked) == TableQuery()


@pytest.mark.parametrize("text", ["", "[]", "3", '[["a"], [], [1]]', "[[1], [], {}]", "[" * 9999])
def test_what_is_no_question(text):
    with pytest.raises(DataError, match="a question for tables that cannot be read"):
        TableQuery.read([text])


def test_the_rows_of_a_function_stand_for_tables(tmp_path, monkeypatch, context):
    code = "import pandas as pd\n\ndef rows(context):\n"
    code += "    return {'people': pd.DataFrame({'id': [1], 'age': [54]})}\n"
    (tmp_path / "invented_rows.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    data = open_data("invented_rows:rows", context())
    asked = StarModel(Ages, Total, "sql", columns=["age"]).plan.asked
    assert list(data.load("sql", asked)[0]["people"]) == ["age"]
    with pytest.raises(DataError, match="has no 'visits', which the query names"):
        data.load("sql", TableQuery(tables=("visits",)).keys())


def test_a_tester_gets_the_columns_asked_for():
    seen = []

    class Looks(Ages):
        def analysis_method(self, data, aggregator_results):
            seen.append([{name: list(frame) for name, frame in each.items()} for each in data])
            return 0

    people = pd.DataFrame({"id": [1, 2], "age": [61, 47], "sex": ["f", "m"]})
    split = [{"people": people, "odd": people[["id"]]}]
    asked = {"query": ["people"], "columns": ["age"], "subject": "id"}
    StarModelTester([split], Looks, Total, "sql", **asked)
    assert seen == [[{"people": ["age", "id"]}]]
    with pytest.raises(DataError, match="has no 'weight'"):
        StarModelTester([split], Looks, Total, "sql", columns=["people.weight"])
    with pytest.raises(ModelError, match="columns are those of tables"):
        StarModelTester([split], Looks, Total, "s3", columns=["age"])


def test_a_tester_gets_the_files_asked_for():
    seen = []

    class Looks(Ages):
        def analysis_method(self, data, aggregator_results):
            seen.append(data)
            return 0

    split = [{"a.csv": b"1", "b.csv": b"2"}]
    StarModelTester([split, 7], Looks, Total, "s3", query="a.csv")
    assert seen == [[{"a.csv": b"1"}], 7]
    with pytest.raises(DataError, match=r"no 'c.csv', which the query names"):
        StarModelTester([split], Looks, Total, "s3", query="c.csv")
