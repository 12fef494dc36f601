//! XML as far as documents need it: a bounded tree, without document types or entities of its own.

use roxmltree::{Document as Xml, Error, Node, NodeId, ParsingOptions};

use super::{DocumentError, Limits};
use crate::ivr::notice::Code;

/// A tree and where its lines begin.
pub(super) struct Tree<'i> {
    xml: Xml<'i>,
    /// Where each line begins; looked up for every element, so counted once.
    lines: Vec<usize>,
    lines_before: u32,
}

/// Reads `text`, which begins after `lines_before` lines of white space.
pub(super) fn read(text: &str, limits: Limits, lines_before: u32) -> Result<Tree<'_>, DocumentError> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: limits.nodes, ..ParsingOptions::default() };
    let xml = Xml::parse_with_options(text, options).map_err(|error| {
        let line = error.pos().row.saturating_add(lines_before);
        DocumentError { code: Code::PARSE, line, what: explain(&error, limits) }
    })?;
    let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let tree = Tree { xml, lines, lines_before };
    tree.check_depth(limits.depth)?;
    Ok(tree)
}

impl Tree<'_> {
    /// The root element.
    pub(super) fn root(&self) -> Node<'_, '_> {
        self.xml.root_element()
    }

    /// The line on which `node` begins, from 1.
    pub(super) fn line(&self, node: Node<'_, '_>) -> u32 {
        self.lines.partition_point(|start| *start <= node.range().start) as u32 + self.lines_before
    }

    /// Nodes stand in the order of the document, so each one's parent is measured before it.
    fn check_depth(&self, most: usize) -> Result<(), DocumentError> {
        let mut depths: Vec<(NodeId, usize)> = Vec::new();
        for node in self.xml.descendants().filter(Node::is_element) {
            while depths.last().is_some_and(|(open, _)| node.parent().map(|parent| parent.id()) != Some(*open)) {
                depths.pop();
            }
            let depth = depths.last().map_or(1, |(_, depth)| depth + 1);
            if depth > most {
                let what = format!("elements within {most} others; that deep none is read");
                return Err(DocumentError { code: Code::PARSE, line: self.line(node), what });
            }
            depths.push((node.id(), depth));
        }
        Ok(())
    }
}

/// The error in our words: those of the library quote the document, which may hold what a caller said.
fn explain(error: &Error, limits: Limits) -> String {
    match error {
        Error::DtdDetected => "a document type or entities of its own are not read".to_owned(),
        Error::NodesLimitReached => format!("more than {} elements and texts", limits.nodes),
        Error::AttributesLimitReached | Error::NamespacesLimitReached => "too many attributes".to_owned(),
        Error::UnknownEntityReference(..) => "an unknown entity: a lone & is written &amp;".to_owned(),
        Error::MalformedEntityReference(_) => "a broken entity: a lone & is written &amp;".to_owned(),
        Error::UnexpectedCloseTag(..) => "an end tag that does not match its start tag".to_owned(),
        Error::UnexpectedEntityCloseTag(_) => "an end tag that opens nothing".to_owned(),
        Error::DuplicatedAttribute(..) => "an attribute twice in one element".to_owned(),
        Error::NoRootNode => "no <Response> in it".to_owned(),
        Error::UnclosedRootNode | Error::UnexpectedEndOfStream => "it ends before its last element does".to_owned(),
        Error::UnknownNamespace(..) => "an unknown namespace".to_owned(),
        _ => "not well-formed XML".to_owned(),
    }
}
