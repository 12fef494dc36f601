//! `Enqueue`, and the names of queues.

use roxmltree::Node;

use super::{
    Link, Reference,
    attributes::{Attributes, Notes, text_of},
};
use crate::ivr::notice::Code;

/// Waits in a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Enqueue {
    /// In which.
    pub name: String,
    /// Who is asked how to go on when the caller has left it; the next verb when nobody is named.
    pub action: Option<Link>,
    /// What runs while the caller waits: `None` is music of the server's, an empty address is silence.
    pub wait: Option<Link>,
    /// How many may wait in it.
    pub max_size: u32,
}

/// Reads `Enqueue`; `None` when there is no queue to wait in.
pub(super) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Enqueue> {
    let mut attributes = Attributes::of(node, notes);
    let (method, wait_method) = (attributes.method("method"), attributes.method("waitUrlMethod"));
    let action = attributes.reference("action").map(|to| Link { to, method });
    let wait = attributes.text("waitUrl").map(|to| Link { to: Reference(to.trim().to_owned()), method: wait_method });
    let max_size = attributes.whole("maxQueueSize", Code::SCHEMA, 1..=5_000, 1_000);
    attributes.without_effect(&["workflowSid"]);
    attributes.done();
    for child in node.children().filter(Node::is_element) {
        notes.tell(child, Code::SCHEMA, "tasks are not routed here; left out");
    }
    Some(Enqueue { name: name(node, notes)?, action, wait, max_size })
}

/// The name of a queue, which is the text of `node`.
pub(super) fn name(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let name = text_of(node);
    if name.is_empty() || name.chars().count() > 64 {
        notes.tell(node, Code::QUEUE_NAME, "a queue has a name of 1 to 64 signs; left out");
        return None;
    }
    Some(name)
}
