"""Advice that tests elsewhere follow, and words that look like advice and are none."""

ELSEWHERE = {
    r"these come from you: plugins\.strategy\(": "docs/plugins.md, by its page's test",
    r"builds no model: call StarModel\(": "tests/unit/script/test_runner.py",
    r"has a StarModelTester only": "tests/unit/script/test_runner.py",
    r"StarModel\(\.\.\.\) needs data: --data": "tests/unit/script/test_runner.py",
    r"such as script = \"analysis\.py\"": "tests/unit/script/test_components.py",
    r"such as flame_log\(f\"\{name\} has arrived\"\)": "a warning; the case of the error beside it",
    r"^\| DeltaNorm\(": "the end of the message on rounds without an end; its case has it",
    r"make it with StarModel\(\.\.\.\)\.client_app or make_c": "tests/unit/node/conftest.py",
    r"^Clip\(1\.0, keys=coef\), TopFraction\(0\.25\)$": "in the message on filters in a config",
}
"""Advice that tests elsewhere follow, or the case of the message that it is put into."""

NOT_ADVICE = {
    r"for analyses that declare `payload=\"pickle\"`": "what a key of the config is for",
    r"^this node loads and sends no pickles": "what was declared",
    r"^the result holds a pickle, and the analysis does not": "what was not declared",
    r"^the node's config has sandbox = \"bwrap\"": "what was declared",
    r"^approval = \"none\": whoever reaches": "what was declared",
    r"^(SELECT|WITH entry|CREATE VIEW|, CASE WHEN|, \(|CASE WHEN) ?": "SQL",
    r"has no (check|collector)\(self, ": "what a class lacks that is to be one's own",
    r"^with on-failure = \"skip\": go on": "what a key of the config is for",
    r"^what `flame\.get_(analysis|project)_id\(\)` returns": "what a key of the config is for",
    r"float\(\.\.\.\) makes a number of an array": "Python's own",
    r"builds nothing but has a main\(\)": "what is done",
    r"failed after its StarModel\(\.\.\.\), which does not matter": "what the user wrote",
    r"^payload='pickle': values may travel as pickles": "what was declared",
    r"^with payload=\"pickle\", what NumPy 2": "what was declared",
    r"^import json, sys; sys\.path": "a program",
    r"content='width=device-width": "a page of HTML",
    r"Look for detach\(\), item\(\), no_grad\(\)": "what the user may have written",
    r"statistics have merge\(\) and result\(\)": "what a statistic has",
    r"its field `\{name\}` does not say how it is merged": "tests/unit/statistics/test_fields.py",
    r"has no save\(\) and load\(\)": "what an aggregation lacks",
    r"multiple_results=True needs a list": "what was declared",
    r"location='global' is not available": "what was asked for",
    r"does not go with secure sums: NaN": "what was declared",
    r"the analysis declares secure=True, which `secure`": "what was declared",
    r"the answer would leave unmasked, and": "for the other side; hello says it to its own",
    r"has \{name\}=\"\{word\}\", and a node can": "what was declared",
    r"under way: call start\(\)": "for who calls the strategy's inner methods, by no user's way",
}
