"""What a review shows of an app: all that runs at a node, and what the models are made with."""

import inspect

import pytest
from flower_app import archive, pyproject

from flame_flwr.clients import NodePlan, make_client_app
from flame_flwr.node.app_archive import AppArchive
from flame_flwr.node.app_models import POSITIONAL
from flame_flwr.node.app_review import Review
from flame_flwr.star import StarLocalDPModel, StarModel, StarModelTester

ANALYSIS = """
from flame_flwr.star import StarAnalyzer

class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1

class Other(StarAnalyzer):
    pass

def attack(message, context, call):
    return call(message, context)
"""


def review(**files):
    files = {f"study/{name}.py": text for name, text in {"analysis": ANALYSIS, **files}.items()}
    return Review(AppArchive.read(archive({"pyproject.toml": pyproject("study"), **files})))


def shown(found):
    return "\n".join(f"--- {each.place}\n{each.text}" for each in found.runs_at_node())


def declared(found):
    return [(key.strip(), value) for key, value in found.declared()]


SIGNATURES = {
    "StarModel": StarModel.__init__,
    "StarLocalDPModel": StarModel.__init__,
    "StarModelTester": StarModelTester.__init__,
    "NodePlan": NodePlan.__init__,
    "make_client_app": make_client_app,
}


@pytest.mark.parametrize("name", POSITIONAL)
def test_positions_are_those_of_the_signature(name):
    parameters = inspect.signature(SIGNATURES[name]).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    assert POSITIONAL[name] == tuple(
        each.name for each in parameters if each.kind in kinds and each.name != "self"
    )
    assert issubclass(StarLocalDPModel, StarModel)


@pytest.mark.parametrize(
    "code",
    [
        'D = {"data_type": "s3"}\nmodel = StarModel(Analyzer, Analyzer, **D, disclosure=RULES)',
        'D = {"data_type": "s3", "disclosure": RULES}\n'
        "model = StarModel(Analyzer, Analyzer, **{**D})",
        'model = StarModel(Analyzer, Analyzer, **dict(data_type="s3", disclosure=RULES))',
        "from .keys import D\nmodel = StarModel(Analyzer, Analyzer, **D)",
        "import study.keys\nfrom study.keys import D as E\nF = E\n"
        "model = StarModel(Analyzer, Analyzer, **F)",
        'if True:\n    D = {"data_type": "s3", "disclosure": RULES}\n'
        "model = StarModel(Analyzer, Analyzer, **D)",
    ],
)
def test_dicts_of_arguments_are_followed(code):
    keys = 'RULES = [MinCount(5)]\nD = {"data_type": "s3", "disclosure": RULES}'
    found = declared(review(app=f"RULES = [MinCount(5)]\n{code}", keys=keys))
    assert ("data_type", "'s3'") in found
    assert ("disclosure", "RULES, which is [MinCount(5)]") in found
    assert "**" not in dict(found)


@pytest.mark.parametrize(
    "code", ["D = make()", "D = {**D}", "D = D", "from elsewhere import D", "from .app import D"]
)
def test_what_cannot_be_followed_is_said(code):
    found = declared(review(app=f"{code}\nmodel = StarModel(Analyzer, Analyzer, 's3', **D)"))
    assert ("data_type", "'s3'") in found
    assert [value for key, value in found if key == "**"] != []


def test_words_of_the_tester_are_its_own():
    found = dict(declared(review(local="StarModelTester(splits, Analyzer, Aggregator, 's3')")))
    assert found["analyzer"] == "Analyzer"
    assert found["aggregator"] == "Aggregator"
    assert found["data_type"] == "'s3'"


MODS = """
from flame_flwr.clients import {imported}, make_client_app
from flame_flwr.star import StarModel
from .analysis import Analyzer, Other, attack

{more}
decoy = StarModel(Other, Other, "none")
client_app = make_client_app({plan}(Analyzer), mods=[attack])
print("when it is loaded")
"""


@pytest.mark.parametrize(
    ("imported", "more", "plan"),
    [("NodePlan", "", "NodePlan"), ("NodePlan as P", "", "P"), ("NodePlan as P", "Q = P", "Q")],
)
def test_mods_and_their_module_are_shown(imported, more, plan):
    """Also where a name is another one's, beside a model that nothing uses."""
    app = MODS.format(imported=imported, more=more, plan=plan)
    found = review(app=app)
    text = shown(found)
    assert "def attack(message" in text
    assert text.index("class Analyzer") < text.index('print("when it is loaded")')
    assert ("mods", "[attack]") in declared(found)
    assert ("analyzer", "Analyzer") in declared(found)
    assert "study.app:client_app, which is make_client_app(" in found.clientapp()


def test_a_clientapp_from_elsewhere_is_followed():
    found = review(app="from .real import client_app", real="client_app = made_by_hand()")
    assert found.clientapp().endswith("which is made_by_hand() in study/real.py, line 1")
    assert "client_app = made_by_hand()" in shown(found)
    assert "it cannot be told what that is" in review(app="from flwr import *").clientapp()


def test_the_files_that_a_node_imports_are_followed():
    """With a package's own, relative ones too; a test of the app is imported by nobody."""
    found = review(
        app="import pandas\nfrom . import analysis\nfrom study.more import x\nimport study.of",
        more="from os.path import join\nfrom .analysis import Analyzer\nx = 1",
        of="from ..outside import y",
        test_app="import study.app",
    )
    assert found.node_imports() == {
        "study/app.py": ["pandas", "study", "study.analysis", "study.more", "study.of"],
        "study/analysis.py": ["flame_flwr.star"],
        "study/more.py": ["os.path", "study.analysis"],
        "study/of.py": ["outside"],
    }


def test_what_is_above_is_not_shown_twice():
    app = ANALYSIS + "model = StarModel(Analyzer, Analyzer, 's3')\nclient_app = model.client_app\n"
    text = shown(review(app=app))
    assert text.count("class Analyzer") == 2  # of both modules
    assert "# lines 4 to 6 are above" in text
    assert "client_app = model.client_app" in text


@pytest.mark.parametrize(
    ("encoding", "comment"),
    [("utf-7", "# +AAo-import socket"), ("raw_unicode_escape", "# \\u000aimport socket")],
)
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_comment_that_runs_shows_so(encoding, comment, end):
    """As Python reads the file, in the encoding that it says it is in."""
    code = end.join([f"# coding: {encoding}", "x = 1", comment, ""])
    scope = {}
    exec(compile(code.encode(), "app.py", "exec"), scope)
    assert "socket" in scope
    found = review(app=code)
    assert "\nimport socket\n" in found.text("study/app.py")
    [said] = [each for each in found.warnings() if "a comment can be code" in each]
    assert said.startswith(f"study/app.py says that it is in {encoding}")


@pytest.mark.parametrize("encoding", ["rot13", "no-such", "undefined"])
def test_an_unknown_encoding_is_no_python(encoding):
    found = review(app=f"# coding: {encoding}\nx = 1\n")
    assert "study/app.py is no Python that can be read" in found.warnings()
    assert found.text("study/app.py")


def test_a_byte_order_mark_is_no_other_encoding():
    found = review(app="\ufeffx = 1\n")
    assert found.text("study/app.py") == "x = 1\n"
    assert found.warnings() == []


def test_an_umlaut_in_latin_1_hides_nothing():
    found = review(app="# coding: latin-1\n# für Köln\n".encode("latin-1"))
    assert "# für Köln" in found.text("study/app.py")
    assert found.warnings() == []
