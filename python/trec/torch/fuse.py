"""Finds collections whose outputs go into a KTRegroupAsDict, by torch.fx, and makes one compiled module of them.

The model is traced, so what comes back is a GraphModule. What cannot be traced, or is no such pattern, is refused by
name: nobody should believe that a regroup was fused when it was not.
"""

from collections.abc import Callable
from typing import Any

import torch
from torchrec.modules.regroup import KTRegroupAsDict

from trec import refusals
from trec.torch.kinds import is_collection

# From collections, the regroup, and the argument that each collection reads, to the module that replaces them.
MakeModule = Callable[[list[Any], KTRegroupAsDict, list[int]], torch.nn.Module]


class _Tracer(torch.fx.Tracer):
    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        is_part = is_collection(m) or isinstance(m, KTRegroupAsDict)
        return is_part or super().is_leaf_module(m, module_qualified_name)


def _trace(model: torch.nn.Module) -> torch.fx.GraphModule:
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    # What fails is the model's own code.
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise refusals.FUSE_UNTRACEABLE.at_place("fuse_regroup", type=type(model).__name__, error=text) from error
    return torch.fx.GraphModule(tracer.root, graph)


def _collections_of(traced: torch.fx.GraphModule, regroup: torch.fx.Node) -> list[torch.fx.Node]:
    """The calls of collections that make the operands of a regroup."""
    path = str(regroup.target)
    operands = regroup.args[0] if regroup.args else regroup.kwargs["keyed_tensors"]
    if not isinstance(operands, (list, tuple)):
        raise refusals.FUSE_HIDDEN.at(path)
    for node in operands:
        is_call = isinstance(node, torch.fx.Node) and node.op == "call_module"
        if not is_call or not is_collection(traced.get_submodule(str(node.target))):
            raise refusals.FUSE_OTHER.at(path, node=node)
        calls = [other for other in traced.graph.nodes if other.op == "call_module" and other.target == node.target]
        users = [user for call in calls for user in call.users]
        if len(users) != 1 or len(calls) != 1:
            raise refusals.FUSE_SHARED.at(path, module=node.target)
    return list(operands)


def fuse_regroups(model: torch.nn.Module, make: MakeModule) -> torch.fx.GraphModule:
    """A traced model in which each KTRegroupAsDict and its collections are one module, at the place of the regroup."""
    traced = _trace(model)
    regroups = [
        node
        for node in traced.graph.nodes
        if node.op == "call_module" and type(traced.get_submodule(str(node.target))) is KTRegroupAsDict
    ]
    if not regroups:
        raise refusals.FUSE_NOTHING.at_place("fuse_regroup", type=type(model).__name__)
    fused = []
    for regroup in regroups:
        calls = _collections_of(traced, regroup)
        inputs = [(*call.args, *call.kwargs.values())[0] for call in calls]
        distinct = list(dict.fromkeys(inputs))
        modules = [traced.get_submodule(str(call.target)) for call in calls]
        module = make(modules, traced.get_submodule(str(regroup.target)), [distinct.index(node) for node in inputs])
        fused.append((regroup, calls, distinct, module))
    # Nothing is changed where any of them is refused.
    for regroup, calls, distinct, module in fused:
        traced.set_submodule(str(regroup.target), module)
        regroup.args, regroup.kwargs = tuple(distinct), {}
        for call in calls:
            traced.graph.erase_node(call)
            traced.delete_submodule(str(call.target))
    traced.graph.lint()
    traced.recompile()
    return traced
