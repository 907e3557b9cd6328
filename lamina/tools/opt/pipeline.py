"""Pipelines as text: `canonicalize,func(cse,dce),graph,tile{size=8}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, get_type_hints

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation
from xdsl.passes import ModulePass, get_pass_option_infos
from xdsl.traits import IsolatedFromAbove
from xdsl.utils.arg_spec import ArgSpec, _convert_arg_to_type, parse_pipeline  # pyright: ignore[reportPrivateUsage]
from xdsl.utils.exceptions import ArgSpecParseError

from lamina import pipelines
from lamina.diagnostics import LaminaError
from lamina.plugins import Plugin
from lamina.tools.reporting import closest

PassFactories: TypeAlias = Mapping[str, Callable[[], type[ModulePass]]]
NestRunner: TypeAlias = Callable[["Nest", Context, ModuleOp, Operation], None]

ROOT = "builtin.module"
ANCHORS: Mapping[str, str] = {"func": "func.func", "func.func": "func.func", "module": ROOT, ROOT: ROOT}
"""What can be written before a parenthesis → the ops that the passes in it run on."""


@dataclass(frozen=True)
class Nest(ModulePass):
    """`func(a,b)`: passes that run on each function (or other isolated op) directly in the module, one op at a time.

    The op is moved into a module of its own while its passes run, so a module pass needs no change to run so; it sees
    the module's attributes, which it may not change, and nothing of the other functions. `runner` runs the passes.
    """

    name: ClassVar[str] = "nest"
    anchor: str
    passes: tuple[ModulePass, ...]
    runner: NestRunner = field(compare=False, repr=False)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for target in [candidate for candidate in op.ops if candidate.name == self.anchor]:
            if not target.has_trait(IsolatedFromAbove):
                raise LaminaError(f"passes cannot run on '{target.name}': it uses values from outside it")
            self._run_on(target, ctx, op)

    def _run_on(self, target: Operation, ctx: Context, module: ModuleOp) -> None:
        block, after = module.body.block, target.next_op
        target.detach()
        shell = ModuleOp([target], dict(module.attributes))
        shell.location = module.location
        try:
            self.runner(self, ctx, shell, target)
        finally:
            for op in list(shell.body.block.ops):
                op.detach()
                block.add_op(op) if after is None else block.insert_op_before(op, after)
        if shell.attributes != module.attributes:
            raise LaminaError(
                f"a pass in '{self.anchor}(…)' changed the module's attributes",
                hints=("run it on the module, outside the parentheses",),
            )


@dataclass(frozen=True)
class PhaseEnd(ModulePass):
    """The contract of a phase, checked where its passes are through; does not show in a printed pipeline."""

    name: ClassVar[str] = "phase-end"
    phase: pipelines.Phase

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        pipelines.check_contract(op, self.phase)


class PipelineBuilder:
    """Makes passes of text; refuses what is unknown or ill-typed with the closest names."""

    def __init__(self, available: PassFactories, runner: NestRunner, plugins: Sequence[Plugin] = ()):
        self.available = available
        self.plugins = plugins
        self.runner = runner

    def parse(self, text: str) -> tuple[ModulePass, ...]:
        """The passes of a pipeline, phases expanded. `builtin.module(…)` around all of it means nothing, as in MLIR."""
        elements = list(_split(text))
        if len(elements) == 1 and (inner := _nested(elements[0], text)) is not None and ANCHORS.get(inner[0]) == ROOT:
            return self.parse(inner[1])
        return tuple(one for element in elements for one in self._element(element, text))

    def phases(self, after: str, to: str) -> tuple[ModulePass, ...]:
        """The passes from the end of phase `after` to the end of phase `to`."""
        first, last = (pipelines.PHASES.index(find_phase(name)) + 1 for name in (after, to))
        return tuple(one for name in pipelines.PHASE_NAMES[first:last] for one in self._phase(name))

    def _element(self, element: str, text: str) -> Iterable[ModulePass]:
        nested = _nested(element, text)
        if nested is not None:
            anchor, inner = nested
            if anchor not in ANCHORS and "." not in anchor:
                known = f"write {' or '.join(f'{name}(…)' for name in ('func', 'module'))}, or the name of an op"
                raise LaminaError(f"unknown nesting '{anchor}(…)'", hints=(*closest(anchor, ANCHORS), known))
            return (Nest(ANCHORS.get(anchor, anchor), self.parse(inner), self.runner),)
        if element in pipelines.PHASE_NAMES and element not in self.available:
            return self._phase(element)
        return (self._pass(_spec(element)),)

    def _phase(self, name: str) -> Iterable[ModulePass]:
        phase = pipelines.phase(name, self.plugins)
        yield from (self.available[one]()() for one in phase.passes)
        yield PhaseEnd(phase)

    def _pass(self, spec: ArgSpec) -> ModulePass:
        if spec.name not in self.available:
            hints = closest(spec.name, (*self.available, *pipelines.PHASE_NAMES))
            raise LaminaError(f"unknown pass '{spec.name}'", hints=(*hints, "--list-passes lists them"))
        try:
            pass_type = self.available[spec.name]()
        except ImportError as error:
            raise LaminaError(f"pass '{spec.name}' cannot be loaded: {error}") from error
        options = {info.name.replace("_", "-"): info for info in get_pass_option_infos(pass_type)}
        types = get_type_hints(pass_type)
        for option, value in spec.parameters.items():
            if option.replace("_", "-") not in options:
                known = f"its options are {', '.join(options)}" if options else "it has no options"
                raise LaminaError(
                    f"pass '{spec.name}' has no option '{option}'", hints=(*closest(option, options), known)
                )
            self._check_type(spec.name, option, value, types[option.replace("-", "_")])
        try:
            return pass_type.from_pass_spec(spec)
        except (ValueError, TypeError) as error:
            raise LaminaError(f"pass '{spec.name}': {error}", hints=(f"see --help-pass {spec.name}",)) from None

    @staticmethod
    def _check_type(name: str, option: str, value: tuple[Any, ...], expected: Any) -> None:
        from xdsl.utils.hints import type_repr

        try:
            _convert_arg_to_type(value, expected)
        except ValueError:
            given = ",".join(map(str, value)) or "nothing"
            raise LaminaError(
                f"pass '{name}': option '{option}' takes {type_repr(expected)}, given {given}",
                hints=(f"see --help-pass {name}",),
            ) from None


def find_phase(name: str) -> pipelines.Phase:
    """A phase by name; LaminaError with the closest names when there is none."""
    if name not in pipelines.PHASE_NAMES:
        known = f"the phases are {', '.join(pipelines.PHASE_NAMES)}"
        raise LaminaError(f"unknown phase '{name}'", hints=(*closest(name, pipelines.PHASE_NAMES), known))
    return pipelines.phase(name)


def pipeline_text(passes: Sequence[ModulePass]) -> str:
    """A pipeline as text that `PipelineBuilder.parse` takes."""
    return ",".join(pass_text(one) for one in passes if not isinstance(one, PhaseEnd))


def pass_text(one: ModulePass) -> str:
    """One pass with its options, or a nested pipeline."""
    if isinstance(one, Nest):
        anchor = next(name for name, op in (*ANCHORS.items(), (one.anchor, one.anchor)) if op == one.anchor)
        return f"{anchor}({pipeline_text(one.passes)})"
    spec = one.pipeline_pass_spec()
    return str(ArgSpec(spec.name, {option.replace("_", "-"): value for option, value in spec.parameters.items()}))


def flattened(passes: Iterable[ModulePass]) -> Iterable[ModulePass]:
    """The passes of a pipeline and of what is nested in it, in order."""
    for one in passes:
        if isinstance(one, Nest):
            yield from flattened(one.passes)
        elif not isinstance(one, PhaseEnd):
            yield one


CLOSERS: Mapping[str, str] = {"(": ")", "{": "}", "[": "]"}


def _split(text: str) -> Iterable[str]:
    """The elements between commas that stand outside parentheses, braces, brackets and strings."""
    open_brackets: list[str] = []
    start, quoted = 0, False
    for index, character in enumerate(text):
        if character == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        if quoted:
            continue
        if character in CLOSERS:
            open_brackets.append(CLOSERS[character])
        elif character in CLOSERS.values():
            if not open_brackets or open_brackets.pop() != character:
                raise _syntax_error(f"unexpected '{character}'", text, index)
        elif character == "," and not open_brackets:
            yield _element_text(text, start, index)
            start = index + 1
    if open_brackets or quoted:
        raise _syntax_error(f"expected '{open_brackets[-1] if open_brackets else chr(34)}'", text, len(text))
    if text.strip():
        yield _element_text(text, start, len(text))


def _element_text(text: str, start: int, end: int) -> str:
    element = text[start:end].strip()
    if not element:
        raise _syntax_error("expected the name of a pass", text, start)
    return element


def _nested(element: str, text: str) -> tuple[str, str] | None:
    """`name(inner)` as its two parts."""
    name, parenthesis, rest = element.partition("(")
    if not parenthesis or not set('{["').isdisjoint(name):
        return None
    if not rest.endswith(")"):
        raise _syntax_error("expected ',' after ')'", text, text.index(element) + element.rindex(")") + 1)
    return name.strip(), rest[:-1]


def _spec(element: str) -> ArgSpec:
    try:
        (spec,) = parse_pipeline(element)
    except ArgSpecParseError as error:
        # xDSL's message is a headline, then the text with a caret and the cause under it.
        *_, excerpt, caret, cause = str(error).rstrip().splitlines()
        raise LaminaError(f"pipeline: {cause.strip()}\n  {excerpt}\n  {caret}") from None
    return spec


def _syntax_error(message: str, text: str, index: int) -> LaminaError:
    return LaminaError(f"pipeline: {message}\n  {text}\n  {' ' * index}^")
