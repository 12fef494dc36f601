//! Opens the decoder's graph so that it shows where it listens.
//!
//! The published graph computes cross-attention (which encoder frame each token looks at) and throws it
//! away, but its cached branch hands out the sound's keys a second time, which nobody needs. The file is a
//! flatbuffer: here the names of those outputs are redirected, in memory, to the attention's. Pure; every
//! read is bounds-checked; a file of another layout is left as it is and word times fall back to letters.
//! Source: onnxruntime/core/flatbuffers/schema/ort.fbs (format version 6).

use std::ops::Range;

/// Redirects `present.L.encoder.key` of the branch that uses the cache to the attention
/// `[1, heads, 1, frames]` of layer L, for the upper half of the layers: those follow the sound closest.
/// Answers which layers; `None` when the graph has no such thing, and `model` is as it was.
pub(super) fn expose(model: &mut Vec<u8>) -> Option<Range<usize>> {
    let flat = Flat(model);
    let graph = flat.table(flat.table(flat.table(0)?.field(4 + 2)?)?.field(4 + 2 * 7)?)?;
    let branch = cached_branch(&flat, &graph)?;
    let outputs = flat.vector(branch.field(GRAPH_OUTPUTS)?)?;
    let slot_of = |layer: usize| {
        let unneeded = format!("present.{layer}.encoder.key");
        outputs.clone().find(|&slot| flat.string(slot) == Some(unneeded.as_bytes()))
    };
    let slots: Vec<usize> = (0..LAYERS_MAX).map_while(slot_of).collect();
    let layers = slots.len() / 2..slots.len();

    let mut redirected = Vec::new();
    for layer in layers.clone() {
        let attention = format!("/model/decoder/layers.{layer}/encoder_attn/Softmax_output_0");
        if !produces(&flat, &branch, attention.as_bytes()) {
            return None;
        }
        redirected.push((slots[layer], attention));
    }
    for (slot, attention) in redirected {
        let at = append(model, &attention)?;
        model.get_mut(slot..slot + 4)?.copy_from_slice(&u32::try_from(at - slot).ok()?.to_le_bytes());
    }
    (!layers.is_empty()).then_some(layers)
}

/// More than any decoder has.
const LAYERS_MAX: usize = 64;

// Where a table's fields are: 4 bytes of header in its vtable, then two a field.
const GRAPH_NODES: usize = 4 + 2 * 2;
const GRAPH_OUTPUTS: usize = 4 + 2 * 6;
const NODE_OUTPUTS: usize = 4 + 2 * 9;
const NODE_ATTRIBUTES: usize = 4 + 2 * 10;
const ATTRIBUTE_NAME: usize = 4;
const ATTRIBUTE_GRAPH: usize = 4 + 2 * 7;

/// The `then` graph of the one node that chooses by `use_cache_branch`.
fn cached_branch<'a>(flat: &Flat<'a>, graph: &Table<'a>) -> Option<Table<'a>> {
    for node in flat.vector(graph.field(GRAPH_NODES)?)? {
        let Some(attributes) = flat.table(node)?.field(NODE_ATTRIBUTES) else { continue };
        for attribute in flat.vector(attributes)? {
            let attribute = flat.table(attribute)?;
            if flat.string(attribute.field(ATTRIBUTE_NAME)?) == Some(b"then_branch") {
                return flat.table(attribute.field(ATTRIBUTE_GRAPH)?);
            }
        }
    }
    None
}

fn produces(flat: &Flat<'_>, graph: &Table<'_>, name: &[u8]) -> bool {
    let nodes = graph.field(GRAPH_NODES).and_then(|nodes| flat.vector(nodes));
    nodes.into_iter().flatten().any(|node| {
        let outputs = flat.table(node).and_then(|node| flat.vector(node.field(NODE_OUTPUTS)?));
        outputs.into_iter().flatten().any(|output| flat.string(output) == Some(name))
    })
}

/// Adds a string at the end, where every earlier reference can point (they only point forward).
fn append(model: &mut Vec<u8>, text: &str) -> Option<usize> {
    model.resize(model.len().next_multiple_of(4), 0);
    let at = model.len();
    model.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
    model.extend_from_slice(text.as_bytes());
    model.push(0);
    model.resize(model.len().next_multiple_of(4), 0);
    Some(at)
}

/// A flatbuffer, read without trust: positions are absolute, references are taken where they stand.
struct Flat<'a>(&'a [u8]);

struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: usize,
    fields_bytes: usize,
}

impl<'a> Flat<'a> {
    fn target(&self, reference: usize) -> Option<usize> {
        reference.checked_add(read_u32(self.0, reference)? as usize)
    }

    fn table(&self, reference: usize) -> Option<Table<'a>> {
        let at = self.target(reference)?;
        let back = i64::from(read_u32(self.0, at)?.cast_signed());
        let fields = usize::try_from(i64::try_from(at).ok()? - back).ok()?;
        let fields_bytes = usize::from(read_u16(self.0, fields)?);
        Some(Table { bytes: self.0, at, fields, fields_bytes })
    }

    /// Positions of a vector's elements, each a reference.
    fn vector(&self, reference: usize) -> Option<impl Iterator<Item = usize> + Clone + use<>> {
        let at = self.target(reference)?;
        let count = read_u32(self.0, at)? as usize;
        let end = at.checked_add(4)?.checked_add(count.checked_mul(4)?)?;
        (end <= self.0.len()).then(|| (at + 4..end).step_by(4))
    }

    fn string(&self, reference: usize) -> Option<&'a [u8]> {
        let at = self.target(reference)?;
        let length = read_u32(self.0, at)? as usize;
        self.0.get(at.checked_add(4)?..)?.get(..length)
    }
}

impl Table<'_> {
    /// Where a field stands; `None` when the table leaves it out.
    fn field(&self, offset: usize) -> Option<usize> {
        if offset + 2 > self.fields_bytes {
            return None;
        }
        let field = usize::from(read_u16(self.bytes, self.fields.checked_add(offset)?)?);
        (field != 0).then(|| self.at.checked_add(field))?
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_left_as_they_are_or_opened(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut model = bytes.clone();
            if expose(&mut model).is_none() {
                prop_assert_eq!(&model[..bytes.len()], &bytes[..]);
            }
        }
    }
}
