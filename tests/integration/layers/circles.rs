//! Finds the cycles of a graph. In the test of the layers, the edges of a graph are the imports between files or
//! between folders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The nodes to which a node has an edge.
pub(super) type Graph<N> = BTreeMap<N, BTreeSet<N>>;

/// Returns the shortest cycle through each edge. The result contains each cycle once, and begins with the shortest
/// cycle.
pub(super) fn circles<N: Clone + Ord>(graph: &Graph<N>) -> Vec<Vec<N>> {
    let mut circles = BTreeSet::new();
    for (from, to) in graph
        .iter()
        .flat_map(|(from, to)| to.iter().map(move |to| (from, to)))
    {
        if let Some(mut circle) = path(graph, to, from) {
            // The search may find the same cycle several times. Each cycle is rotated so that it begins with its
            // smallest node, and is therefore stored only once.
            let first = (0..circle.len()).min_by_key(|at| &circle[*at]);
            circle.rotate_left(first.unwrap_or(0));
            circles.insert((circle.len(), circle));
        }
    }
    circles.into_iter().map(|(_, circle)| circle).collect()
}

/// Returns the nodes of a shortest path, including both ends.
fn path<N: Clone + Ord>(graph: &Graph<N>, start: &N, end: &N) -> Option<Vec<N>> {
    let mut before: BTreeMap<&N, Option<&N>> = BTreeMap::from([(start, None)]);
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        if node == end {
            let back = std::iter::successors(Some(node), |node| before[*node]);
            let mut path: Vec<_> = back.cloned().collect();
            path.reverse();
            return Some(path);
        }
        for next in graph.get(node).into_iter().flatten() {
            before.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some(node)
            });
        }
    }
    None
}

#[test]
fn a_circle_is_found_once_whatever_edge_it_is_found_by() {
    let edges = [(1, 2), (2, 3), (3, 1), (3, 4), (4, 5), (5, 4), (5, 6)];
    let mut graph: Graph<i32> = Graph::new();
    for (from, to) in edges {
        graph.entry(from).or_default().insert(to);
    }
    assert_eq!(circles(&graph), [vec![4, 5], vec![1, 2, 3]]);
    graph.remove(&2);
    graph.remove(&5);
    assert!(circles(&graph).is_empty());
}
