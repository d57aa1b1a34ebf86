"""Strongly connected parts of the call graph, in the order in which facts flow."""

from __future__ import annotations

from collections.abc import Iterator

from .graph import Graph, Node


def components(graph: Graph) -> Iterator[list[Node]]:
    """Strongly connected parts of the graph, callees before callers (Tarjan 1972, without recursion)."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    for start in list(graph.nodes.values()):
        if start in index:
            continue
        work: list[tuple[Node, Iterator[Node]]] = [(start, graph.successors(start))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            advanced = False
            for other in following:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, graph.successors(other)))
                    advanced = True
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            if advanced:
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                part: list[Node] = []
                while True:
                    other = stack.pop()
                    on_stack.discard(other)
                    part.append(other)
                    if other is node:
                        break
                yield part
