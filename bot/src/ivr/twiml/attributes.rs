//! Reading attributes: each is asked for by name and type, and whatever nobody asked for is told.

use std::{ops::RangeInclusive, time::Duration};

use roxmltree::Node;

use super::{Reference, xml::Tree};
use crate::ivr::{
    notice::{Code, Notice},
    webhook::Method,
};

/// Where notices are gathered while a document is read.
pub(super) struct Notes<'t> {
    tree: &'t Tree<'t>,
    notices: Vec<Notice>,
    most: usize,
}

impl<'t> Notes<'t> {
    pub(super) fn new(tree: &'t Tree<'t>, most: usize) -> Self {
        Self { tree, notices: Vec::new(), most }
    }

    pub(super) fn into_notices(self) -> Vec<Notice> {
        self.notices
    }

    pub(super) fn line(&self, node: Node<'_, '_>) -> u32 {
        self.tree.line(node)
    }

    /// Tells what is wrong with `node`, unless enough was told already.
    pub(super) fn tell(&mut self, node: Node<'_, '_>, code: Code, text: impl Into<String>) {
        if self.notices.len() < self.most {
            let (element, line) = (name_of(node), self.line(node));
            self.notices.push(Notice { code, element, line, text: text.into() });
        }
    }

    /// Tells of every element in `node`, which has none.
    pub(super) fn nothing_within(&mut self, node: Node<'_, '_>) {
        for child in node.children().filter(Node::is_element) {
            self.tell(child, Code::SCHEMA, format!("does not belong into <{}>; left out", name_of(node)));
        }
    }
}

/// The name of an element with its prefix, shortened: an application may write names without end.
pub(super) fn name_of(node: Node<'_, '_>) -> String {
    node.tag_name().name().chars().take(40).collect()
}

/// The text that stands directly in `node`, without white space around it.
pub(super) fn text_of(node: Node<'_, '_>) -> String {
    let text: String = node.children().filter(Node::is_text).filter_map(|child| child.text()).collect();
    text.trim().to_owned()
}

/// The attributes of one element.
pub(super) struct Attributes<'n, 'a, 'i, 't> {
    node: Node<'a, 'i>,
    notes: &'n mut Notes<'t>,
    asked: Vec<&'static str>,
}

impl<'n, 'a, 'i, 't> Attributes<'n, 'a, 'i, 't> {
    pub(super) fn of(node: Node<'a, 'i>, notes: &'n mut Notes<'t>) -> Self {
        Self { node, notes, asked: Vec::new() }
    }

    /// The value as written, if the attribute is there.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.asked.push(name);
        self.node.attributes().find(|own| own.name() == name).map(|own| own.value())
    }

    /// The value without white space around it; `None` when nothing is left.
    pub(super) fn word(&mut self, name: &'static str) -> Option<String> {
        self.text(name).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned)
    }

    /// An address, relative or not.
    pub(super) fn reference(&mut self, name: &'static str) -> Option<Reference> {
        self.word(name).map(Reference)
    }

    /// `GET` or `POST`; `POST` when nothing is said.
    pub(super) fn method(&mut self, name: &'static str) -> Method {
        self.choice(name, Code::SCHEMA, &[("POST", Method::Post), ("GET", Method::Get)])
    }

    /// A whole number; `default` where there is none or another.
    pub(super) fn whole(&mut self, name: &'static str, code: Code, range: RangeInclusive<u32>, default: u32) -> u32 {
        let Some(text) = self.text(name) else { return default };
        match text.trim().parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (least, most) = range.into_inner();
                self.tell(code, format!("{name} is no whole number from {least} to {most}; {default} is taken"));
                default
            }
        }
    }

    /// Whole seconds; `default_s` where there are none or others.
    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        code: Code,
        range: RangeInclusive<u32>,
        default_s: u32,
    ) -> Duration {
        Duration::from_secs(self.whole(name, code, range, default_s).into())
    }

    /// `true` or `false`; `default` where neither is said.
    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        let table = if default { [("true", true), ("false", false)] } else { [("false", false), ("true", true)] };
        self.choice(name, Code::SCHEMA, &table)
    }

    /// One of the words of `table`; the first where none is said.
    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, code: Code, table: &[(&str, T)]) -> T {
        let default = table[0].1;
        let Some(text) = self.text(name).map(str::trim) else { return default };
        if let Some((_, value)) = table.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return *value;
        }
        let words: Vec<_> = table.iter().map(|(word, _)| *word).collect();
        self.tell(code, format!("{name} is none of {}; {} is taken", words.join(", "), words[0]));
        default
    }

    /// Attributes that mean nothing here, and that nobody needs to hear of.
    pub(super) fn known(&mut self, names: &[&'static str]) {
        self.asked.extend(names);
    }

    /// Tells of attributes that are there and do nothing.
    pub(super) fn without_effect(&mut self, names: &[&'static str]) {
        for name in names {
            if self.text(name).is_some() {
                self.tell(Code::SCHEMA, format!("{name} has no effect here"));
            }
        }
    }

    pub(super) fn tell(&mut self, code: Code, text: String) {
        self.notes.tell(self.node, code, text);
    }

    /// Tells of what nobody asked for.
    pub(super) fn done(self) {
        for own in self.node.attributes().filter(|own| !self.asked.contains(&own.name())) {
            let name: String = own.name().chars().take(40).collect();
            self.notes.tell(self.node, Code::SCHEMA, format!("no attribute is called {name}; left out"));
        }
    }
}
