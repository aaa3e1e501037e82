"""`vita eval duplex`: Full-Duplex-Bench v1 and v1.5 for the model, a baseline, or anybody's recorded outputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vita.errors import ConfigError, DataError
from vita.evaluate.interaction import duplex_scores as scores
from vita.evaluate.interaction.duplex_data import make_set
from vita.evaluate.interaction.judge import rate_interruption
from vita.evaluate.interaction.layout import Sample, Word, read_words, samples, write_words
from vita.evaluate.interaction.live import converse
from vita.evaluate.interaction.speech_segments import Segment, merged, speech_segments
from vita.evaluate.measuring import Run
from vita.evaluate.rows import Row, Score
from vita.evaluate.tables import Chart, Measure, Section, Series, Table, by_group, figure
from vita.media import SAMPLE_RATE_HZ, load_audio
from vita.speech.wav import write

_DEFAULT = 10
_LONGEST_WORD_S = 0.6
WANTED = {
    "user_interruption": "responds", "user_backchannel": "resumes", "talking_to_other": "resumes",
    "background_speech": "resumes",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a system said to a recording.

    sound: float32 [num_samples], 16 kHz.
    words: with their times; None where they are not known.
    """

    sound: np.ndarray
    words: list[Word] | None


def measure(run: Run) -> list[Row]:
    """Hold every conversation, or read it, and score it."""
    settings = run.settings
    root = settings.data
    if root is None:
        if settings.system == "recorded":
            raise ConfigError("recorded outputs need --data", fix="give the folder with input.wav and output.wav")
        if settings.out is None or settings.out.suffix == ".json":
            raise ConfigError("the package's own set needs a folder", fix="give --out DIR, or --data DIR")
        root = settings.out / "duplex" / "data"
        make_set(root, settings.limit or _DEFAULT)
    found = samples(root, settings.limit)
    run.say(f"{len(found)} recordings")
    speaker = _Speaker(run)
    return run.measure(found, lambda sample: sample.name, lambda batch: [score(run, speaker, one) for one in batch])


def score(run: Run, speaker: _Speaker, sample: Sample) -> Row:
    """One recording."""
    heard = load_audio(sample.folder / "input.wav")
    said = speaker.output(sample, "", heard)
    user, model = speech_segments(heard), speech_segments(said.sound)
    words = scores.as_words(model) if said.words is None else said.words
    event = sample.spans[0] if sample.spans else (0.0, 0.0)
    if sample.task == "pause handling":
        words = [word for word in words if word.start_s < len(heard) / SAMPLE_RATE_HZ]
        in_pause = any(start < end for start, end in _within(model, sample.spans))
        found: dict[str, Score] = {"take_over": scores.takes_over(words), "in_pause": in_pause}
    elif sample.task == "turn taking":
        found = {"take_over": scores.takes_over(words), "latency_s": scores.response_latency_s(words, event[0])}
    elif sample.task == "backchannel":
        found = _backchannel(sample, model, words, len(said.sound) / SAMPLE_RATE_HZ)
    elif sample.task == "user interruption":
        words = [word for word in words if word.start_s >= event[1]]
        found = {"take_over": scores.takes_over(words), "latency_s": scores.response_latency_s(words, event[1])}
        found |= _right(sample, words)
        if run.settings.judge and found["take_over"]:
            found["rating"] = rate_interruption(run.settings, sample.labels, " ".join(word.text for word in words))
    else:
        clean = speaker.output(sample, "clean_", load_audio(sample.folder / "clean_input.wav"))
        found = _overlap(sample, event, user, model, said, clean)
    detail = {"said": " ".join(word.text for word in said.words or [])}
    return Row(task="duplex", case=sample.name, group=sample.subset, lang=sample.lang, scores=found, detail=detail)


def _within(model: Sequence[Segment], spans: Sequence[Segment]) -> list[Segment]:
    """The model's stretches that begin in one of the spans."""
    return [one for one in model if any(start <= one[0] < end for start, end in spans)]


def _backchannel(sample: Sample, model: list[Segment], words: list[Word], seconds: float) -> dict[str, Score]:
    taken, found = scores.backchannels(model, words)
    result: dict[str, Score] = {"take_over": taken, "frequency_hz": len(found) / seconds if seconds else None}
    wanted = sample.folder.parent / "icc_gt_distribution.json"
    if wanted.exists():
        distribution = json.loads(wanted.read_text(encoding="utf-8")).get(sample.number)
        result["divergence"] = distribution and scores.divergence(found, seconds, distribution)
    return result


def _right(sample: Sample, words: list[Word]) -> dict[str, Score]:
    """Whether the answer begins as one of those that the set knows to be right, if it does know."""
    answers = sample.labels.get("answer")
    if not answers:
        return {}
    given = "".join(c for word in words for c in word.text.lower() if c.isalnum())
    wanted = ["".join(c for c in answer.lower() if c.isalnum()) for answer in answers]
    return {"right": len(given) > 5 and any(given[:12] == answer[: len(given[:12])] for answer in wanted)}


def _overlap(
    sample: Sample, event: Segment, user: list[Segment], model: list[Segment], said: Output, clean: Output
) -> dict[str, Score]:
    whole = merged(user, scores.USER_GAP_S), merged(model, scores.MODEL_GAP_S)
    stops, responses = scores.stop_intervals(*whole), scores.response_intervals(*whole)
    was_speaking = any(start <= event[0] < end for start, end in model)
    did = None  # what is said cannot be told from sound alone
    if said.words is not None and clean.words is not None:
        did = scores.behaviour(event, said.words, clean.words)
    elif not any(end > event[1] for _, end in model):
        did = "silent"
    stopped_s = scores.stops_after_s(event, whole[1])
    if did == "responds" and said.words is not None and clean.words is not None:
        left_s = scores.left_at_s(said.words, clean.words)  # the new answer may follow at once
        stopped_s = max(0.0, left_s - event[0]) if left_s is not None and was_speaking else None
    return {
        "stop_s": [sum(end - start for start, end in stops), len(stops)],
        "response_s": [sum(end - start for start, end in responses), len(responses)],
        "was_speaking": was_speaking,
        "stops_after_s": stopped_s,
        "stops": stopped_s is not None if was_speaking else None,
        "responds": None if did is None else did == "responds",
        "resumes": None if did is None else did == "resumes",
        "as_wanted": None if did is None else did == WANTED[sample.subset],
    }


class _Speaker:
    """Makes outputs with the model and keeps them in the layout of the benchmark, or reads recorded ones."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._voice = None

    def output(self, sample: Sample, prefix: str, heard: np.ndarray) -> Output:
        """The output to {prefix}input.wav."""
        system, out = self._run.settings.system, self._run.settings.out
        if system == "recorded":
            return _read(sample.folder, prefix)
        from vita.speech.voices import get_voice

        self._voice = self._voice or get_voice()
        spoken = converse(self._run.assistant.engine, heard, self._voice, system=system)
        words = words_of(spoken.events)
        if out is not None and out.suffix != ".json":
            folder = out / "duplex" / "outputs" / sample.name
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / f"{prefix}output.wav", spoken.sound, SAMPLE_RATE_HZ)
            write_words(folder / f"{prefix}output.json", words)
            lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in spoken.events]
            (folder / f"{prefix}events.jsonl").write_text("".join(lines), encoding="utf-8")
        return Output(sound=spoken.sound, words=words)


def words_of(events: Sequence[dict[str, object]]) -> list[Word]:
    """The words of the log of a live conversation: each begins where the one before it ended or its answer began, but
    not more than 0.6 s before its own end: between them the answer may have been paused.
    """
    words: list[Word] = []
    begun_s = 0.0
    for event in events:
        at_s = float(str(event["t"]))
        if event["event"] == "first_audio":
            begun_s = at_s
        elif event["event"] == "reply_text":
            text = str(event["text"]).strip()
            start_s = max(begun_s, words[-1].end_s if words else 0.0, at_s - _LONGEST_WORD_S)
            words += [Word(text, min(start_s, at_s), at_s)] if text else []
    return words


def _read(folder: Path, prefix: str) -> Output:
    path = folder / f"{prefix}output.wav"
    if not path.exists():
        raise DataError(f"{path} is missing", fix="record the system's output to every input.wav first")
    return Output(sound=load_audio(path), words=read_words(folder / f"{prefix}output.json"))


def sections(rows: Sequence[Row]) -> list[Section]:
    """Both versions of the benchmark."""
    v1 = [row for row in rows if row.group not in WANTED]
    v15 = [row for row in rows if row.group in WANTED]
    found = []
    if v1:
        measures = [
            Measure("take_over", "take-over rate"), Measure("latency_s", "latency (s)", "mean"),
            Measure("in_pause", "speaks in the pause"), Measure("right", "right answer"),
            Measure("rating", "rating 0-5", "mean", 2), Measure("frequency_hz", "backchannels/s", "mean"),
            Measure("divergence", "divergence", "mean"),
        ]  # fmt: skip
        text = (
            "Pause handling and backchannel: a low take-over rate is good. Turn taking and interruption: a high one, "
            "and a short latency from the end of the user's turn."
        )
        charts = [_bars(v1, "duplex_v1", "Take-over rate", {"take_over": "take-over rate"})]
        found.append(Section(title="Full-Duplex-Bench v1", text=text, tables=[_table(v1, measures)], charts=charts))
    if v15:
        measures = [
            Measure("as_wanted", "as wanted"), Measure("responds", "responds"), Measure("resumes", "resumes"),
            Measure("stop_s", "stop latency (s)", "ratio"), Measure("response_s", "response latency (s)", "ratio"),
            Measure("stops", "stops for it"), Measure("stops_after_s", "stops after (s)", "mean"),
        ]  # fmt: skip
        text = (
            "An overlap begins while the system answers. Wanted: to respond to an interruption, to resume otherwise "
            "(by rule, see docs/evaluation.md). Stop latency: all stretches in which both speak, as in the paper; "
            '"stops after" counts only systems that fall silent for the overlap.'
        )
        series = {"responds": "responds", "resumes": "resumes"}
        charts = [_bars(v15, "duplex_v15", "What follows an overlap", series)]
        found.append(Section(title="Full-Duplex-Bench v1.5", text=text, tables=[_table(v15, measures)], charts=charts))
    return found


def _table(rows: Sequence[Row], measures: Sequence[Measure]) -> Table:
    """All languages together; only the measures that something has."""
    joined = [Row(**{**vars(row), "lang": "all"}) for row in rows]
    present = [one for one in measures if any(row.scores.get(one.name) is not None for row in rows)]
    return by_group(joined, present, title="recordings")


def _bars(rows: Sequence[Row], name: str, title: str, measures: dict[str, str]) -> Chart:
    groups = list(dict.fromkeys(row.group for row in rows))
    series = []
    for score_name, label in measures.items():
        figures = [figure([row for row in rows if row.group == group], Measure(score_name, "")) for group in groups]
        intervals = [(one.low, one.high) for one in figures]
        series.append(Series(name=label, x=range(len(groups)), y=[one.value for one in figures], intervals=intervals))
    return Chart(name=name, title=title, kind="bars", labels=groups, series=series)
