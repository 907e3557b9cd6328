"""Run a graph-level module in NumPy: every op by its `reference`, the definition that all other levels answer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from xdsl.dialects import func
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.traits import SymbolTable

from lamina.diagnostics import LaminaError, location_text
from lamina.dialects.graph.base import Array, GraphOp
from lamina.dialects.graph.constant import ConstantOp
from lamina.dialects.graph.scan import ScanOp
from lamina.passes.graph.evaluation import checked, evaluate_op, mismatch
from lamina.resources import ResourceStore


def evaluate(
    module: ModuleOp, inputs: Sequence[Array], resources: ResourceStore | None = None, function: str = "main"
) -> tuple[Array, ...]:
    """Run `function` of a module at the phases `import`, `graph` or `kernels`.

    `inputs` are arrays of the arguments' dtypes and shapes; they are not written to (donation is ignored). Every
    computed array is checked against the type in the IR. Raises LaminaError, with the op's location, for inputs that
    do not fit, an op outside the graph dialect, and a result of another shape or dtype than its type says.
    """
    store = resources if resources is not None else ResourceStore()
    return Evaluator(store).call(_function(module, function), inputs)


Environment = dict[SSAValue, Array]


@dataclass
class Evaluator:
    """Evaluates functions; arrays are dropped after their last use."""

    resources: ResourceStore
    _last_uses: dict[Block, Mapping[Operation, Sequence[SSAValue]]] = field(
        default_factory=dict[Block, Mapping[Operation, Sequence[SSAValue]]]
    )

    def call(self, function: func.FuncOp, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The results of a function for arrays as arguments."""
        name = function.sym_name.data
        if not function.body.blocks:
            raise LaminaError(f"@{name} has no body", where=location_text(function.location))
        arguments = function.body.block.args
        if len(inputs) != len(arguments):
            raise LaminaError(f"@{name}: expected {len(arguments)} inputs, found {len(inputs)}")
        environment: Environment = {}
        for index, (argument, array) in enumerate(zip(arguments, inputs, strict=True)):
            problem = mismatch(argument.type, np.asarray(array))
            if problem is not None:
                raise LaminaError(f"@{name}: input {index}: {problem}")
            environment[argument] = np.asarray(array)
        return self.block(function.body.block, environment)

    def block(self, block: Block, environment: Environment) -> tuple[Array, ...]:
        """Run a block and give what its terminator yields or returns."""
        last_uses = self._last_uses_in(block)
        for op in block.ops:
            if op.next_op is None:
                return tuple(environment[operand] for operand in op.operands)
            for value, array in zip(op.results, self.op(op, environment), strict=True):
                environment[value] = array
            for value in last_uses[op]:
                environment.pop(value, None)
        return ()

    def op(self, op: Operation, environment: Environment) -> tuple[Array, ...]:
        """The results of one op."""
        case = CASES.get(op.name)
        if case is not None:
            return case(self, op, environment)
        if isinstance(op, GraphOp):
            return evaluate_op(op, [environment[operand] for operand in op.operands])
        raise LaminaError(f"{op.name} cannot be evaluated at the graph level", where=location_text(op.location))

    def constant(self, op: Operation, environment: Environment) -> tuple[Array, ...]:
        return (checked(op.results[0], cast(ConstantOp, op).array(self.resources), op),)

    def function_call(self, op: Operation, environment: Environment) -> tuple[Array, ...]:
        callee = SymbolTable.lookup_symbol(op, cast(func.CallOp, op).callee)
        if not isinstance(callee, func.FuncOp):
            raise LaminaError("call of an unknown function", where=location_text(op.location))
        return self.call(callee, [environment[operand] for operand in op.operands])

    def conditional(self, op: Operation, environment: Environment) -> tuple[Array, ...]:
        chosen = op.regions[0 if bool(environment[op.operands[0]].reshape(())) else 1]
        return self.checked_region(op, chosen, (), environment)

    def loop(self, op: Operation, environment: Environment) -> tuple[Array, ...]:
        condition, body = op.regions
        values = tuple(environment[operand] for operand in op.operands)
        while bool(self.region(condition, values, environment)[0].reshape(())):
            values = self.region(body, values, environment)
        return tuple(checked(result, array, op) for result, array in zip(op.results, values, strict=True))

    def scan(self, op: Operation, environment: Environment) -> tuple[Array, ...]:
        operands = [environment[operand] for operand in op.operands]
        loop = cast(ScanOp, op)
        values = loop.run(operands, lambda arguments: self.region(loop.body_region, arguments, environment))
        return tuple(checked(result, array, op) for result, array in zip(op.results, values, strict=True))

    def region(self, region: Region, arguments: Sequence[Array], environment: Environment) -> tuple[Array, ...]:
        """Run a region that sees the values around it."""
        block = region.block
        inner = {**environment, **dict(zip(block.args, arguments, strict=True))}
        return self.block(block, inner)

    def checked_region(
        self, op: Operation, region: Region, arguments: Sequence[Array], environment: Environment
    ) -> tuple[Array, ...]:
        values = self.region(region, arguments, environment)
        return tuple(checked(result, array, op) for result, array in zip(op.results, values, strict=True))

    def _last_uses_in(self, block: Block) -> Mapping[Operation, Sequence[SSAValue]]:
        """For each op of a block the values defined in the block that nothing after the op reads."""
        found = self._last_uses.get(block)
        if found is not None:
            return found
        position = {op: index for index, op in enumerate(block.ops)}
        dying: dict[Operation, list[SSAValue]] = {op: [] for op in block.ops}
        for value in (*block.args, *(result for op in block.ops for result in op.results)):
            users = [_ancestor_in(use.operation, block) for use in value.uses]
            owner = value.owner if isinstance(value.owner, Operation) else block.first_op
            last = max(users, key=position.__getitem__, default=owner)
            if last is not None:
                dying[last].append(value)
        self._last_uses[block] = dying
        return dying


CASES: Mapping[str, Callable[[Evaluator, Operation, Environment], tuple[Array, ...]]] = {
    "graph.constant": Evaluator.constant,
    "graph.if": Evaluator.conditional,
    "graph.while": Evaluator.loop,
    "graph.scan": Evaluator.scan,
    "func.call": Evaluator.function_call,
}


def _function(module: ModuleOp, name: str) -> func.FuncOp:
    found = SymbolTable.lookup_symbol(module, name)
    if not isinstance(found, func.FuncOp):
        raise LaminaError(f"the module has no function @{name}")
    return found


def _ancestor_in(op: Operation, block: Block) -> Operation:
    """The op of `block` that is or contains `op`."""
    found = block.find_ancestor_op_in_block(op)
    if found is None:
        raise LaminaError(f"{op.name} uses a value that it cannot see", where=location_text(op.location))
    return found
