"""`vita eval long`: false and missed interruptions on long recordings, by the hour.

A recording NAME.wav has its labels in NAME.txt, as Audacity exports them: start, end and label in each line, separated
by tabs, in seconds. The label "question" (or "question/zh") is what is to be answered, also over an answer; every other
label (side talk, backchannel, background, sound) is to change nothing. What the system did is read from its log of
events if there is one, else from its recorded output, NAME.output.wav.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vita.errors import ConfigError, DataError
from vita.evaluate.interaction.live import converse
from vita.evaluate.interaction.long_data import make_recordings
from vita.evaluate.interaction.speech_segments import merged, speech_segments
from vita.evaluate.measuring import Run
from vita.evaluate.rows import Row
from vita.evaluate.statistics import rate_interval
from vita.evaluate.tables import Cell, Chart, Figure, Measure, Section, Series, Table, figure
from vita.media import SAMPLE_RATE_HZ, load_audio
from vita.speech.wav import write

QUESTION = "question"
STOPS_WITHIN_S, ANSWERS_WITHIN_S, GAP_S = 2.0, 3.0, 0.5
_DEFAULT = 2


@dataclass(frozen=True)
class Label:
    """What is heard from one time to another, in seconds: a question, or something else."""

    start_s: float
    end_s: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Acts:
    """What the system did, times in seconds.

    starts: an answer began.
    stops: an answer was cut.
    speaking: where it was heard.
    """

    starts: Sequence[float]
    stops: Sequence[float]
    speaking: Sequence[tuple[float, float]]


def read_labels(path: Path) -> list[Label]:
    """Audacity's labels. Raises DataError for another file."""
    labels = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} is missing", fix="put the labels of NAME.wav into NAME.txt") from error
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if line.startswith("\\") or not line.strip():
            continue  # a range of frequencies, of spectral labels
        try:
            labels.append(Label(float(fields[0]), float(fields[1]), fields[2].strip()))
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{path}, line {number}, is no label", got=line[:60], expected="start, end, label"
            ) from error
    return sorted(labels, key=lambda label: label.start_s)


def acts_of_events(events: Sequence[Mapping[str, object]], speaking: Sequence[tuple[float, float]]) -> Acts:
    """From the log of a live conversation."""

    def times(name: str) -> list[float]:
        return [float(str(event["t"])) for event in events if event["event"] == name]

    return Acts(starts=times("first_audio"), stops=times("interrupted"), speaking=speaking)


def acts_of_sound(speaking: Sequence[tuple[float, float]]) -> Acts:
    """From the output alone: each stretch of speech is an answer, and its end may have been a cut."""
    return Acts(starts=[start for start, _ in speaking], stops=[end for _, end in speaking], speaking=speaking)


def judge(labels: Sequence[Label], acts: Acts) -> list[dict[str, bool | None]]:
    """For each label what came of it; None for what it cannot show.

    false_stop: an answer that was heard when it began was cut for it, and it was no question.
    false_answer: it was answered, and was no question.
    missed_stop: it was a question over an answer, which went on for longer than two seconds after it.
    missed: it was a question and had no answer within three seconds of its end.
    """
    found = []
    for number, label in enumerate(labels):
        following = labels[number + 1].start_s if number + 1 < len(labels) else float("inf")
        over_answer = any(start <= label.start_s < end for start, end in acts.speaking)
        is_cut = any(label.start_s <= at <= min(label.end_s + STOPS_WITHIN_S, following) for at in acts.stops)
        answered_by = min(label.end_s + ANSWERS_WITHIN_S, following)
        is_answered = any(label.start_s < at <= answered_by for at in acts.starts)
        is_question = label.kind.partition("/")[0] == QUESTION
        found.append(
            {
                "false_stop": None if is_question or not over_answer else is_cut,
                "false_answer": None if is_question else is_answered,
                "missed_stop": not is_cut if is_question and over_answer else None,
                "missed": not is_answered if is_question else None,
            }
        )
    return found


def measure(run: Run) -> list[Row]:
    """One row for each label of each recording."""
    settings = run.settings
    root = settings.data
    if root is None:
        if settings.out is None or settings.out.suffix == ".json" or settings.system == "recorded":
            raise ConfigError("the package's own recordings need a folder", fix="give --out DIR, or --data DIR")
        root = settings.out / "long" / "data"
        make_recordings(root, settings.limit or _DEFAULT)
    paths = [path for path in sorted(root.glob("*.wav")) if not path.name.endswith(".output.wav")][: settings.limit]
    if not paths:
        raise DataError(f"{root} holds no recordings", expected="NAME.wav and NAME.txt")
    run.say(f"{len(paths)} recordings")
    return [row for path in paths for row in _measure_one(run, path)]


def _measure_one(run: Run, path: Path) -> list[Row]:
    labels = read_labels(path.with_suffix(".txt"))
    numbers = [*range(len(labels))]
    return run.measure(numbers, lambda n: f"{path.stem}/{n}", lambda _: _score(run, path, labels), batch=len(labels))


def _score(run: Run, path: Path, labels: Sequence[Label]) -> list[Row]:
    heard = load_audio(path)
    acts = _acts(run, path)
    hours = len(heard) / SAMPLE_RATE_HZ / 3600 / len(labels)  # each label has its share of the recording
    rows = []
    for number, (label, scores) in enumerate(zip(labels, judge(labels, acts), strict=True)):
        kind, _, lang = label.kind.partition("/")
        detail = {"start_s": label.start_s, "end_s": label.end_s, "hours": hours}
        rows.append(
            Row(task="long", case=f"{path.stem}/{number}", group=kind, lang=lang or "-", scores=scores, detail=detail)
        )
    return rows


def _acts(run: Run, path: Path) -> Acts:
    if run.settings.system == "recorded":
        output = path.with_suffix(".output.wav")
        if not output.exists():
            raise DataError(f"{output} is missing", fix=f"record the system's output to {path.name} first")
        return acts_of_sound(merged(speech_segments(load_audio(output)), GAP_S))
    from vita.speech.voices import get_voice

    spoken = converse(run.assistant.engine, load_audio(path), get_voice(), system=run.settings.system)
    out = run.settings.out
    if out is not None and out.suffix != ".json":
        write(out / "long" / f"{path.stem}.output.wav", spoken.sound, SAMPLE_RATE_HZ)
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in spoken.events]
        (out / "long" / f"{path.stem}.events.jsonl").write_text("".join(lines), encoding="utf-8")
    return acts_of_events(spoken.events, merged(speech_segments(spoken.sound), GAP_S))


def sections(rows: Sequence[Row]) -> list[Section]:
    """By the hour, and by kind of label."""
    hours = sum(row.detail["hours"] for row in rows)
    names = {
        "false_stop": "false interruptions", "false_answer": "noise answered", "missed_stop": "missed interruptions",
        "missed": "missed questions",
    }  # fmt: skip
    per_hour: list[list[Cell]] = []
    for name, title in names.items():
        share = figure(rows, Measure(name, title))
        events = sum(bool(row.scores.get(name)) for row in rows)
        low, high = rate_interval(events, hours)
        rate = Figure(value=events / hours, low=low, high=high, count=events)
        per_hour.append([title, str(events), rate, share, str(share.count)])
    columns = ["event", "number", "an hour", "of the occasions", "occasions"]
    table = Table(columns=columns, rows=per_hour, digits=[0, 0, 1, 3, 0])
    kinds = list(dict.fromkeys(row.group for row in rows))
    lines: list[list[Cell]] = []
    for kind in kinds:
        mine = [row for row in rows if row.group == kind]
        lines.append([kind, *(figure(mine, Measure(name, "")) for name in names)])
    by_kind = Table(columns=["label", *names.values()], rows=lines)
    figures = [line[2] for line in per_hour]
    y = [one.value for one in figures if isinstance(one, Figure)]
    intervals = [(one.low, one.high) for one in figures if isinstance(one, Figure)]
    chart = Chart(
        name="long", title="Mistakes an hour", kind="bars", labels=list(names.values()),
        series=[Series(name="an hour", x=range(len(names)), y=y, intervals=intervals)],
    )  # fmt: skip
    text = (
        f"{hours * 60:.1f} minutes with {len(rows)} labels. A false interruption: something that is no question cuts "
        "an answer. A missed one: a question over an answer does not."
    )
    return [Section(title="Long recordings", text=text, tables=[table, by_kind], charts=[chart])]
