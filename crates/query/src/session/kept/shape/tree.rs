//! What conditions are made of, and where the literals of a text stand in them.

use crate::parser::ast::{Expr as Tree, ExprKind};

/// Visits an expression and all that it is made of; None where it has parts that are not known here, such as a query.
pub fn visit(tree: &mut Tree, each: &mut dyn FnMut(&mut Tree)) -> Option<()> {
    each(tree);
    let parts: Vec<&mut Tree> = match &mut tree.kind {
        ExprKind::Name { .. }
        | ExprKind::Number(_)
        | ExprKind::Text(_)
        | ExprKind::Word(_)
        | ExprKind::Param(_)
        | ExprKind::Star => Vec::new(),
        ExprKind::Unary { arg, .. } | ExprKind::Cast { arg, .. } | ExprKind::IsNull { arg, .. } => vec![arg],
        ExprKind::Binary { left, right, .. } => vec![left, right],
        ExprKind::Call { args, .. } => args.iter_mut().collect(),
        ExprKind::In { value, list, .. } => std::iter::once(&mut **value).chain(list).collect(),
        ExprKind::Between { value, low, high, .. } => vec![value, low, high],
        ExprKind::Case { operand, branches, otherwise } => {
            let branches = branches.iter_mut().flat_map(|(when, then)| [when, then]);
            branches.chain(operand.iter_mut().chain(otherwise).map(|tree| &mut **tree)).collect()
        }
        ExprKind::Query(_) | ExprKind::Filtered { .. } | ExprKind::Window { .. } => return None,
    };
    parts.into_iter().try_for_each(|part| visit(part, each))
}

/// Returns whether each of these positions, which rise, is that of a literal in the conditions.
pub fn have_literals_at(conditions: &[Tree], places: &[usize]) -> bool {
    let mut found = vec![false; places.len()];
    let walked = conditions.iter().cloned().try_for_each(|mut condition| {
        visit(&mut condition, &mut |tree| {
            if let Some(at) = literal_at(tree, places) {
                found[at] = true;
            }
        })
    });
    walked.is_some() && found.into_iter().all(|found| found)
}

/// Puts literals into the places that they have in a condition; None where it has parts that are not known.
pub fn fill(condition: &mut Tree, places: &[usize], literals: &[ExprKind]) -> Option<()> {
    visit(condition, &mut |tree| {
        if let Some(literal) = literal_at(tree, places).and_then(|at| literals.get(at)) {
            tree.kind.clone_from(literal);
        }
    })
}

/// Returns which of the positions a literal has; None for one that the text does not have there, and for anything else.
fn literal_at(tree: &Tree, places: &[usize]) -> Option<usize> {
    let is_literal = matches!(tree.kind, ExprKind::Number(_) | ExprKind::Text(_));
    is_literal.then(|| places.binary_search(&tree.position).ok()).flatten()
}

/// Adds the names in an expression, in small letters; None where it has parts that are not known.
pub fn add_names(tree: &Tree, names: &mut Vec<String>) -> Option<()> {
    visit(&mut tree.clone(), &mut |tree| {
        if let ExprKind::Name { name, .. } = &tree.kind {
            names.push(name.to_lowercase());
        }
    })
}
