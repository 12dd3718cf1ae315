"""Nodes' parts of secure sums, and a server that tells them what a test wants."""

import json

from flame_flwr.aggregation.grid import add_words
from flame_flwr.aggregation.reductions.tree import declare
from flame_flwr.payload import encode
from flame_flwr.privacy.secure.context import IN_PROCESS
from flame_flwr.privacy.secure.declaration import SecureDeclaration
from flame_flwr.privacy.secure.grid_round import GridRound
from flame_flwr.privacy.secure.identities import Identities, SecretIdentity
from flame_flwr.privacy.secure.layout import Answer
from flame_flwr.privacy.secure.part import Rules, SecurePart
from flame_flwr.privacy.secure.roster import Roster
from flame_flwr.privacy.secure.session import SecureSession
from flame_flwr.text.natural_order import natural_order

SESSION = "ab" * 16
NAMES = ("node-1", "node-2", "node-10")


class Federation:
    """Hospitals with identities of their own that know each other, and one session."""

    def __init__(self, declared, names=NAMES, session=SESSION, secrets=None, stores=None):
        self.tree, self.session, self.names = declare(declared), session, names
        self.declared = SecureDeclaration.of(self.tree)
        self.secrets = secrets or {name: SecretIdentity.new() for name in names}
        self.peers = Identities({name: each.public for name, each in self.secrets.items()})
        self.sessions = {
            name: SecureSession(session, name, self.secrets[name], (stores or {}).get(name))
            for name in names
        }
        self.entries = {name: each.hello() for name, each in self.sessions.items()}
        self.roster = Roster.of(session, self.entries.values())
        self.apps = dict.fromkeys(names, IN_PROCESS)
        self.configs = {name: {"max-rounds": 3} for name in names}
        self.rules = Rules(self.peers)

    def config(self, number, *, kind="train", first=True, forms=None, **more):
        sums = {"declared": self.declared.to_text(), "forms": forms}
        said = {
            "round": number,
            "after": number - (kind == "train"),
            "session": self.session,
            "sums": json.dumps(sums),
        }
        if first:
            names = sorted(self.names, key=natural_order)
            said |= {"roster": self.roster.to_text(), "analyzers": json.dumps(names)}
        return said | more

    def part(self, name):
        return SecurePart(
            self.sessions[name], self.session, self.apps[name], self.configs[name], self.rules
        )

    def answer(self, name, value, config, aggregate=None, kind="train"):
        part = self.part(name)
        question = part.question(kind, config, None if aggregate is None else encode(aggregate))
        before = part.answered(question)
        return before if before is not None else part.answer(question, value)

    def summed(self, answers, number=1):
        added = GridRound(number, self.names, self.tree, self.declared, masked=True)
        for name, answer in answers.items():
            added.add(name, Answer.from_bytes(answer))
        return added.result()

    def round(self, values, number=1, aggregate=None, kind="train", told=None):
        """Have all answer; `told` has by name what one of them is told instead."""
        answers = {}
        for name, value in zip(self.names, values, strict=True):
            config = self.config(number, kind=kind)
            said = {"config": config, "aggregate": aggregate} | (told or {}).get(name, {})
            answers[name] = self.answer(name, value, kind=kind, **said)
        return self.summed(answers, number)


def sum_of_parts(total, more):
    """Return the sums, one by one, of two nodes' words."""
    return [add_words(one, other) for one, other in zip(total, more, strict=True)]
