"""The measurements of an audit over the warehouse: every result table, from the embeddings that are there."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from audit_assets.config import EncoderEntry
from audit_assets.hashing import digest, sha256_once
from audit_assets.measurement import identification, matching, verification
from audit_assets.measurement.planning import ASSUMED_CORRELATION, Size
from audit_assets.measurement.sensitivity import independence, template_matrix
from audit_assets.measurement.verdicts import agreement
from audit_assets.models.files import KNOWN_FAMILIES
from audit_assets.results import auditability as auditability_tables
from audit_assets.results import comparison as comparison_tables
from audit_assets.results import identification as identification_tables
from audit_assets.results import matching as matching_tables
from audit_assets.results import sensitivity as sensitivity_tables
from audit_assets.results.identification import TextSide
from audit_assets.results.label_sets import label_counts
from audit_assets.results.verdicts import VERDICT_COLUMNS, verdict_rows
from audit_assets.roster.subjects import prompted
from audit_assets.warehouse.places import local_copy

if TYPE_CHECKING:
    from audit_assets.audit_steps import AuditSteps

VERSION = 7
"""Raise it where the same inputs give other rows."""

CONTROL_TABLES = ("reference_trials", "calibration", "reliability", "auditability")
IDENTIFICATION_TABLES = (
    "identification_trials",
    "identification_by_subject",
    "identification_summary",
    "identification_contrasts",
    "default_label_shares",
)
MATCHING_TABLES = ("matching_by_subject", "matching_summary")
VERDICT_TABLES = ("verdicts", "verdict_agreement")
SENSITIVITY_TABLES = (
    "template_matrix",
    "score_correlations",
    "verdict_flips",
    "encoder_independence",
    "dose_response",
)
COMPARISON_TABLES = ("model_comparison", "model_comparison_by_subject", "model_trends")
MODEL_TABLES = (*IDENTIFICATION_TABLES, *MATCHING_TABLES, *VERDICT_TABLES, *SENSITIVITY_TABLES)
"""One file a model version each; CONTROL_TABLES are one file an audit."""


class MeasurementSteps:
    """The result tables of one audit. What is there and was made of the same inputs is read, not computed again."""

    def __init__(self, steps: "AuditSteps") -> None:
        self.steps, self.warehouse, self.protocol = steps, steps.warehouse, steps.protocol
        self.encoders: Sequence[EncoderEntry] = steps.audit.encoders
        self.text_encoders = [e for e in self.encoders if e.kind == "image_text"]

    # ---- the positive control
    def make_auditability(self) -> dict[str, pd.DataFrame]:
        """What every encoder makes of real works: tables reference_trials, calibration, reliability, auditability."""
        inputs = self._inputs([*self._all_real(), *self._labels()])
        return self._made(CONTROL_TABLES, "", inputs, self._auditability)

    def _auditability(self) -> dict[str, pd.DataFrame]:
        subjects = self.steps.subjects()
        trials, calibrations, rows = [], [], []
        for e in self.encoders:
            if not (tables := self._real(e)):
                continue
            real = self.warehouse.read_all(tables)
            named = None
            if e.kind == "image_text":
                labels, scale = self.warehouse.read(f"label_embeddings/{e.name}"), self._logit(e)[0]
                named = auditability_tables.reference_trials(
                    real, labels, subjects, protocol=self.protocol, encoder=e.name, logit_scale=scale
                )
                trials.append(named)
                calibrations.append(
                    auditability_tables.calibrate(
                        real, labels, subjects, named, protocol=self.protocol, encoder=e.name, logit_scale=scale
                    )
                )
            rows.append(
                auditability_tables.auditability_rows(real, named, subjects, protocol=self.protocol, encoder=e.name)
            )
        reference_trials = _concat(trials, auditability_tables.REFERENCE_TRIALS_COLUMNS)
        return {
            "reference_trials": reference_trials,
            "calibration": _concat(calibrations, auditability_tables.CALIBRATION_COLUMNS),
            "reliability": auditability_tables.reliability(reference_trials),
            "auditability": _concat(rows, auditability_tables.AUDITABILITY_COLUMNS),
        }

    # ---- experiment 1
    def make_identification(self, model: str) -> dict[str, pd.DataFrame]:
        """Experiment 1 for every encoder that reads text."""
        return self._made(
            IDENTIFICATION_TABLES,
            model,
            self._inputs(
                [*self._images(self.text_encoders, model), *self._labels(), "reference_trials", "calibration"]
            ),
            lambda: self._identification(model),
        )

    def _identification(self, model: str) -> dict[str, pd.DataFrame]:
        subjects = self.steps.subjects()
        fits = self.warehouse.read("calibration")
        # Works that are separated perfectly bound no temperature: probabilities then stay as they are.
        temperatures = fits[~fits["at_bound"].astype(bool)].set_index("encoder")["temperature"]
        trials = pd.concat(
            [
                identification_tables.identification_trials(
                    self.warehouse.read_all(self._images([e], model)),
                    self.warehouse.read(f"label_embeddings/{e.name}"),
                    subjects,
                    protocol=self.protocol,
                    model_version=model,
                    encoder=e.name,
                    text=TextSide(*self._logit(e), float(temperatures.get(e.name, 1.0))),
                )
                for e in self.text_encoders
            ],
            ignore_index=True,
        )
        return {"identification_trials": trials, **self._from_trials(trials, subjects)}

    def _from_trials(self, trials: pd.DataFrame, subjects: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Every aggregate of experiment 1, from the image-level rows alone."""
        by_subject = identification.by_subject(trials)
        return {
            "identification_by_subject": by_subject,
            "identification_summary": identification.summary(
                trials, by_subject, subjects, labels=label_counts(subjects, self.protocol)
            ),
            "identification_contrasts": identification_tables.identification_contrasts(
                trials, self.warehouse.read("reference_trials"), subjects, protocol=self.protocol
            ),
            "default_label_shares": identification.default_label_shares(trials),
        }

    def identification_findings(self, model: str) -> list[str]:
        """What is wrong in the kept tables of experiment 1, in words: image-level rows that contradict themselves or the
        embeddings, aggregates that do not follow from them."""
        return self._verified(IDENTIFICATION_TABLES, model, lambda: self._identification_findings(model))

    def _identification_findings(self, model: str) -> list[str]:
        subjects = self.steps.subjects()
        labels = label_counts(subjects, self.protocol)
        trials, by_subject, summary = (self.warehouse.read(f"{t}/{model}") for t in IDENTIFICATION_TABLES[:3])
        found = verification.trial_findings(trials, labels=labels)
        found += verification.aggregate_findings(trials, by_subject, summary, subjects, labels=labels)
        for e in self.text_encoders:
            found += identification_tables.trials_unlike_embeddings(
                trials[trials["encoder"] == e.name],
                self.warehouse.read_all(self._images([e], model)),
                self.warehouse.read(f"label_embeddings/{e.name}"),
                subjects,
                text=TextSide(*self._logit(e), 1.0),
            )
        # A doubled image has no aggregate to compare with.
        return found or self._unlike(model, self._from_trials(trials, subjects))

    # ---- experiment 2
    def make_matching(self, model: str) -> dict[str, pd.DataFrame]:
        """Experiment 2 for every encoder, by the paper's test and by those that stay valid."""
        inputs = self._inputs([*self._images(self.encoders, model), *self._all_real()])
        return self._made(MATCHING_TABLES, model, inputs, lambda: self._matching(model))

    def _matching(self, model: str) -> dict[str, pd.DataFrame]:
        subjects = self.steps.subjects()
        tables = [
            matching_tables.matching_rows(
                self.warehouse.read_all(self._images([e], model)),
                self.warehouse.read_all(self._real(e)),
                subjects,
                protocol=self.protocol,
                model_version=model,
                encoder=e.name,
            )
            for e in self.encoders
            if self._real(e)
        ]
        rows = _concat(tables, matching.BY_SUBJECT_COLUMNS)
        return {"matching_by_subject": rows, "matching_summary": matching.matching_summary(rows)}

    def matching_findings(self, model: str) -> list[str]:
        """What is wrong in the kept tables of experiment 2, in words: rows that do not follow from each other, the paper's
        test beside scipy's over the embeddings, and every row recomputed."""
        return self._verified(MATCHING_TABLES, model, lambda: self._matching_findings(model))

    def _matching_findings(self, model: str) -> list[str]:
        rows, summary = (self.warehouse.read(f"{t}/{model}") for t in MATCHING_TABLES)
        found = verification.matching_findings(rows, summary, alpha=self.protocol.matching.alpha)
        for e in self.encoders:
            if self._real(e):
                found += matching_tables.paper_test_findings(
                    rows[rows["encoder"] == e.name],
                    self.warehouse.read_all(self._images([e], model)),
                    self.warehouse.read_all(self._real(e)),
                    self.steps.subjects(),
                )
        return found + self._unlike(model, self._matching(model))

    # ---- verdicts and what they depend on
    def make_verdicts(self, model: str) -> dict[str, pd.DataFrame]:
        """One word an artist and encoder, and how many encoders agree."""
        inputs = self._inputs(
            [f"identification_by_subject/{model}", f"matching_by_subject/{model}", "auditability"]
            + [f"imitations/{model}/{s}" for s in self._prompted()]
        )
        return self._made(VERDICT_TABLES, model, inputs, lambda: self._verdicts(model))

    def _verdicts(self, model: str) -> dict[str, pd.DataFrame]:
        read = self.warehouse.read
        by_subject, tests, control = (
            read(f"identification_by_subject/{model}"),
            read(f"matching_by_subject/{model}"),
            read("auditability"),
        )
        images = self.warehouse.read_all([f"imitations/{model}/{s}" for s in self._prompted()])
        tables = [
            verdict_rows(
                by_subject[by_subject["encoder"] == e.name],
                tests[tests["encoder"] == e.name],
                control[control["encoder"] == e.name],
                images[images["template"] >= 0],
                self.steps.subjects(),
                encoder=e.name,
                protocol_images=self.protocol.trials * len(self.protocol.templates),
                alpha=self.protocol.matching.alpha,
            ).assign(protocol=self.protocol.name, model_version=model)
            for e in self.encoders
        ]
        rows = pd.concat(tables, ignore_index=True)[VERDICT_COLUMNS]
        agreed = agreement(rows).assign(protocol=self.protocol.name)
        return {"verdicts": rows, "verdict_agreement": agreed[["protocol", *agreed.columns.drop("protocol")]]}

    def verdict_findings(self, model: str) -> list[str]:
        """What differs in the kept verdicts, drawn again from the tables below them."""
        return self._unlike(model, self._verdicts(model))

    def make_sensitivity(self, model: str) -> dict[str, pd.DataFrame]:
        """What the results depend on: template, encoder, label set, test, and captions that name the artist."""
        inputs = self._inputs(
            [f"{t}/{model}" for t in ("identification_trials", "matching_by_subject", "verdicts")]
            + ["model_versions", "encoders"]
        )
        return self._made(SENSITIVITY_TABLES, model, inputs, lambda: self._sensitivity(model))

    def _sensitivity(self, model: str) -> dict[str, pd.DataFrame]:
        read = self.warehouse.read
        trials, by_subject = read(f"identification_trials/{model}"), read(f"identification_by_subject/{model}")
        tests, verdicts = read(f"matching_by_subject/{model}"), read(f"verdicts/{model}")
        models = read("model_versions")
        judged = sensitivity_tables.settings_verdicts(verdicts, by_subject, tests, alpha=self.protocol.matching.alpha)
        common = {"protocol": self.protocol.name, "model_version": model}
        return {
            "template_matrix": template_matrix(trials),
            "score_correlations": sensitivity_tables.score_correlations(trials, tests).assign(**common),
            "verdict_flips": sensitivity_tables.verdict_flips(judged).assign(**common),
            "encoder_independence": independence(
                models[models["model_version"] == model], read("encoders"), named=KNOWN_FAMILIES
            ),
            "dose_response": sensitivity_tables.dose_responses(
                by_subject, tests, self.steps.subjects(), protocol=self.protocol
            ),
        }

    def findings(self, model: str) -> list[str]:
        """What is wrong in the results of one model version, in words: they must not be published."""
        return [*self.identification_findings(model), *self.matching_findings(model), *self.verdict_findings(model)]

    def recomputed(self, model: str) -> list[str]:
        """What is wrong in any table of one model version, whether or not it was searched before: every one is computed
        again from the tables below it, down to the embeddings."""
        identified = self._identification_findings(model) or self._unlike(model, self._identification(model))
        return [
            *self._unlike("", self._auditability()),
            *(f"identification_trials/{model}, or what follows from it: {finding}" for finding in identified),
            *(f"matching_by_subject/{model}, or what follows from it: {f}" for f in self._matching_findings(model)),
            *self.verdict_findings(model),
            *self._unlike(model, self._sensitivity(model)),
            *self.comparison_findings(),
        ]

    # ---- versions side by side
    def make_comparison(self) -> dict[str, pd.DataFrame]:
        """Every pair of audited versions, in the order of audit.yaml."""
        versions = self.steps.audited()
        inputs = self._inputs(
            [f"{t}/{v}" for v in versions for t in ("identification_by_subject", "matching_by_subject", "verdicts")]
        )
        return self._made(COMPARISON_TABLES, "", inputs, self._comparison)

    def _comparison(self) -> dict[str, pd.DataFrame]:
        versions = self.steps.audited()
        scored = comparison_tables.scores(
            *(
                self.warehouse.read_all([f"{t}/{v}" for v in versions])
                for t in ("identification_by_subject", "matching_by_subject", "verdicts")
            )
        )
        by_subject = comparison_tables.by_subject(scored, versions, protocol=self.protocol)
        return {
            "model_comparison": comparison_tables.overall(by_subject, protocol=self.protocol),
            "model_comparison_by_subject": by_subject,
            "model_trends": comparison_tables.trends(scored, versions, protocol=self.protocol),
        }

    def comparison_findings(self) -> list[str]:
        """What differs in the kept comparison, made again from the tables of each version."""
        return self._unlike("", self._comparison())

    # ---- before anything is made
    def size(self) -> Size:
        """How large this audit is, and how alike images of one artist are: measured where an audit of a model is there."""
        subjects = self.steps.subjects()
        referenced = set(self.steps.referenced())
        artists = subjects[(subjects["kind"] == "artist") & subjects["subject"].isin(referenced)]
        controls = (subjects["kind"] == "random_name") & ~subjects["shares_name_parts"].astype("boolean").fillna(False)
        measured = self._measured_correlation()
        return Size(
            artists=len(artists),
            controls=int(controls.sum()),
            images=self.protocol.trials * len(self.protocol.templates),
            pool=len(referenced),
            correlation=ASSUMED_CORRELATION if measured is None else measured,
            measured=measured is not None,
        )

    def _measured_correlation(self) -> float | None:
        for model in self.steps.audit.models:
            table = f"identification_summary/{model.name}"
            if self.warehouse.inputs(table):
                rows = self.warehouse.read(table)
                rows = rows[(rows["label_set"] == "criteria") & (rows["kind"] == "artist")]
                # A warehouse of an earlier version has no such column.
                known = rows.get("intra_subject_correlation", pd.Series(dtype=float)).dropna()
                if len(known):
                    return float(known.iloc[0])
        return None

    # ---- what all of them use
    def _made(
        self, names: Sequence[str], model: str, inputs: str, make: Callable[[], dict[str, pd.DataFrame]]
    ) -> dict[str, pd.DataFrame]:
        where = {name: _where(name, model) for name in names}
        if all(self.warehouse.inputs(table) == inputs for table in where.values()):
            return {name: self.warehouse.read(table) for name, table in where.items()}
        tables = make()
        for name, table in tables.items():
            self.warehouse.write(where[name], table, inputs)
        return tables

    def _verified(self, names: Sequence[str], model: str, find: Callable[[], list[str]]) -> list[str]:
        """What `find` finds in tables of one model version; files in which it found nothing once are not searched again.

        Known by their bytes, so that a file that was changed since is searched, whoever changed it.
        """
        marker = f"verified/{names[0]}/{model}"
        files = [sha256_once(local_copy(self.warehouse.path(f"{name}/{model}"))) for name in names]
        seen = digest([files, self.warehouse.inputs(f"{names[0]}/{model}"), VERSION])
        if self.warehouse.inputs(marker) == seen:
            return []
        found = find()
        if not found:
            self.warehouse.write(marker, pd.DataFrame({"file_sha256": files}), seen)
        return found

    def _inputs(self, tables: Sequence[str]) -> str:
        return digest(
            [
                self.warehouse.all_inputs(tables),
                self.warehouse.inputs("subjects"),
                self.protocol.measurement_hash,
                self.protocol.name,
                VERSION,
            ]
        )

    def _unlike(self, model: str, again: dict[str, pd.DataFrame]) -> list[str]:
        """Where a kept table is not what it should be, the first difference of each in words."""
        wrong = []
        for name, table in again.items():
            kept = self.warehouse.read(_where(name, model))
            fresh = pa.Table.from_pandas(table, preserve_index=False).to_pandas()  # NULLs as a file gives them back
            try:
                pd.testing.assert_frame_equal(kept, fresh, check_dtype=False, rtol=1e-9)
            except AssertionError as error:
                wrong.append(f"{_where(name, model)}: {' '.join(str(error).split())[:200]}")
        return wrong

    def _prompted(self) -> list[str]:
        return [str(s) for s in prompted(self.steps.subjects())["subject"]]

    def _images(self, encoders: Sequence[EncoderEntry], model: str) -> list[str]:
        return [f"imitation_embeddings/{e.name}/{model}/{s}" for e in encoders for s in self._prompted()]

    def _real(self, encoder: EncoderEntry) -> list[str]:
        return [f"reference_embeddings/{encoder.name}/{s}" for s in self.steps.referenced()]

    def _all_real(self) -> list[str]:
        return [table for e in self.encoders for table in self._real(e)]

    def _labels(self) -> list[str]:
        return [f"label_embeddings/{e.name}" for e in self.text_encoders]

    def _logit(self, entry: EncoderEntry) -> tuple[float, float]:
        scale, bias = self.steps.logit(entry)
        return scale or 1.0, bias or 0.0


def _where(table: str, model: str) -> str:
    return f"{table}/{model}" if model else table


def _concat(tables: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(columns))
