"""What all engines of preparing do alike. A test of one inherits it and says which."""

from pathlib import Path

import pytest

from aiops.layers.core.errors import InputError
from aiops.layers.l3_tuning.data import store
from aiops.layers.l3_tuning.data.data_engine import DataEngine
from aiops.layers.l3_tuning.recipe import DataPlan

from .prepared_folder import asked, contents, digest_of, prepare, write_rows
from .tiny_model import lay_model


class DataEngineContract:
    """The same digest and the same bytes, and errors that say the same."""

    engine: DataEngine
    shares = 2

    def plan(self, tmp_path: Path) -> DataPlan:
        """Several files, of which some rows are removed for each reason."""
        rows = [*map(asked, range(30)), asked(3), {**asked(5), "completion": asked(5)["completion"] + " Indeed."}]
        for number in range(3):
            write_rows(tmp_path / f"facts/{number}.jsonl", rows[number::3])
        exam = write_rows(tmp_path / "exam.jsonl", [asked(9)])
        return DataPlan(
            (str(tmp_path / "facts"),),
            length=512,
            duplicates="near",
            packing=True,
            held_out=0.2,
            mask=("email",),
            decontaminate=(str(exam),),
        )

    def test_the_same_digest_and_the_same_bytes(self, tmp_path: Path) -> None:
        base, plan = str(lay_model(tmp_path / "model")), self.plan(tmp_path)
        alone = prepare(plan, base, tmp_path / "alone")
        made = prepare(plan, base, tmp_path / "data", engine=self.engine, shares=self.shares)
        assert made == alone
        assert contents(tmp_path / "data") == contents(tmp_path / "alone")
        assert store.verify(tmp_path / "data" / made.digest) == made
        assert {step for step, reasons in made.lineage["removed"].items() if reasons} == {"duplicates", "decontaminate"}

    def test_what_a_share_refuses_is_told_as_it_is(self, tmp_path: Path) -> None:
        base = str(lay_model(tmp_path / "model"))
        file = write_rows(tmp_path / "facts.jsonl", [asked(1), {"prompt": "p", "completion": "word " * 600}])
        plan = DataPlan((str(file),), length=512)
        with pytest.raises(InputError, match="1 row cannot be prepared") as caught:
            prepare(plan, base, tmp_path / "data", engine=self.engine, shares=self.shares, checked=())
        assert [problem.where for problem in caught.value.problems] == [f"{file}:2"]
        assert not (tmp_path / "data" / digest_of(plan, base)).exists()

    def test_a_model_that_goes_away_meanwhile_is_told(self, tmp_path: Path) -> None:
        base, plan = lay_model(tmp_path / "model"), self.plan(tmp_path)

        def take_away(kind: str, _: str = "", /, **data: object) -> None:
            if kind == "data_step_started" and data["step"] == "render":
                (base / "tokenizer.json").rename(base / "taken.json")

        with pytest.raises(InputError, match=r"has no tokenizer\.json"):
            prepare(plan, str(base), tmp_path / "data", engine=self.engine, shares=self.shares, emit=take_away)
        (base / "taken.json").rename(base / "tokenizer.json")
        assert prepare(plan, str(base), tmp_path / "data", engine=self.engine, shares=self.shares).rows > 0
