"""`vita train`: a recipe's stages, from nothing or from where they were interrupted."""

from __future__ import annotations

import argparse

from vita.errors import ConfigError

SUMMARY = "train a model by a recipe, resumable at any moment"
USAGE = "RECIPE [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file, for example recipes/pocket.yaml")
    parser.add_argument("--stage", metavar="NAME", help="only this stage (default: all, in order)")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: the recipe's)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done: parts, steps, data")
    parser.add_argument("--keep", metavar="N", type=int, help="keep the newest N checkpoints of a stage")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the learning curves so far, and train nothing")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="replace a value of the recipe; repeatable"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; the run's folder holds the result."""
    overrides = dict(_override(text) for text in arguments.set)
    if arguments.keep is not None:
        overrides["keep"] = arguments.keep
    from vita import train

    if arguments.plot:
        stages = train.plot(arguments.recipe, arguments.plot, overrides=overrides, out=arguments.out)
        print(f"written: {arguments.plot} ({', '.join(stages)})")
        return 0
    if arguments.dry_run:
        print("\n".join(train.plan(arguments.recipe, overrides=overrides)))
        return 0
    train.run(
        arguments.recipe,
        stage=arguments.stage,
        overrides=overrides,
        resume=arguments.resume,
        out=arguments.out,
    )
    return 0


def _override(text: str) -> tuple[str, object]:
    """One --set: the key and its value, read as YAML ("1e-3" is a number, "true" a boolean)."""
    import yaml

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ConfigError("--set needs KEY=VALUE", got=text, fix="for example --set steps=100")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of --set {key} is not YAML", got=value) from error
    return key, _number(parsed)


def _number(value: object) -> object:
    """YAML 1.1 takes "1e-3" for a word; it is a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
