//! Finds the kinds of the nodes of a document, by asking the parser for any type.
//!
//! For any type, the parser returns a number as a number and loses its spelling. Therefore a file is parsed twice:
//! here for the kinds of its nodes, and then, with those known, for their texts.
//!
//! The parser gives the place of an error and of nothing else. To find the place of a node, the document is parsed
//! again and rejected at that node.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::limits::{NESTING_MAX, NODES_MAX};
use crate::precheck;
use crate::problem::Finding;
use crate::span::Span;
use crate::syntax;
use crate::tokens::{TokenKind, Tokens};

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing at all, or one of the words for it.
    Nothing,
    Scalar,
    List,
    Map,
}

/// The nodes of the one document in `text`, in document order: a list or a map, then its contents. Keys are nodes,
/// and an aliased value is repeated at each of its aliases.
pub(crate) fn shapes(text: &str, tags: bool) -> Result<Vec<Shape>, Finding> {
    let mut reader = Reader { shapes: Vec::new(), end: None, tags, refusal: None };
    let document = serde_yaml::Deserializer::from_str(text);
    let Err(error) = (Node { reader: &mut reader, depth: 0 }).deserialize(document) else {
        return Ok(reader.shapes);
    };
    let place = error.location().map_or(0, |location| location.index());
    let span = Span::of_bytes(text, place..place + 1);
    Err(match reader.refusal {
        Some(Refusal::Nested) if Tokens::new(text, 0).any(|token| token.kind == TokenKind::Alias) => {
            precheck::nested(span).help(
                "the format needs seven levels; check for an alias within its own value, or an extra bracket",
            )
        }
        Some(Refusal::Nested) => precheck::nested(span),
        Some(Refusal::Tag) => precheck::tag(span),
        Some(Refusal::Many) => precheck::many(),
        Some(Refusal::End) | None => syntax::finding(text, &error),
    })
}

/// The first byte of the node with this number; for an alias, where its value is written.
pub(crate) fn place(text: &str, node: usize) -> Option<usize> {
    let mut reader = Reader { shapes: Vec::new(), end: Some(node), tags: true, refusal: None };
    let document = serde_yaml::Deserializer::from_str(text);
    let error = (Node { reader: &mut reader, depth: 0 }).deserialize(document).err()?;
    let found = reader.refusal == Some(Refusal::End);
    error.location().filter(|_| found).map(|location| location.index())
}

struct Reader {
    shapes: Vec<Shape>,
    /// The node to stop at.
    end: Option<usize>,
    /// Whether tags are ignored, because they have been reported.
    tags: bool,
    /// Why this reader rejected the document, if it did.
    refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    End,
    Nested,
    Many,
    Tag,
}

/// The next node.
struct Node<'r> {
    reader: &'r mut Reader,
    /// The number of lists and maps around it.
    depth: usize,
}

impl Node<'_> {
    fn is<E: serde::de::Error>(&mut self, shape: Shape) -> Result<(), E> {
        let inner = matches!(shape, Shape::List | Shape::Map);
        let count = self.reader.shapes.len();
        self.refuse_if(self.reader.end == Some(count), Refusal::End)?;
        self.refuse_if(count == NODES_MAX, Refusal::Many)?;
        self.refuse_if(inner && self.depth == NESTING_MAX, Refusal::Nested)?;
        self.reader.shapes.push(shape);
        Ok(())
    }

    fn refuse_if<E: serde::de::Error>(&mut self, refused: bool, why: Refusal) -> Result<(), E> {
        if !refused {
            return Ok(());
        }
        self.reader.refusal = Some(why);
        Err(E::custom("refused")) // Never shown; the parser adds the place.
    }

    fn inner(&mut self) -> Node<'_> {
        Node { reader: self.reader, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: serde::de::Error>(mut self, _: bool) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_i64<E: serde::de::Error>(mut self, _: i64) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_u64<E: serde::de::Error>(mut self, _: u64) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_i128<E: serde::de::Error>(mut self, _: i128) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_u128<E: serde::de::Error>(mut self, _: u128) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_f64<E: serde::de::Error>(mut self, _: f64) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_str<E: serde::de::Error>(mut self, _: &str) -> Result<(), E> {
        self.is(Shape::Scalar)
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.is(Shape::Nothing)
    }

    /// An empty document.
    fn visit_none<E: serde::de::Error>(mut self) -> Result<(), E> {
        self.is(Shape::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.is(Shape::List)?;
        while items.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        self.is(Shape::Map)?;
        while entries.next_key_seed(self.inner())?.is_some() {
            entries.next_value_seed(self.inner())?;
        }
        Ok(())
    }

    /// A value with a tag, which the parser reports as an enum variant.
    fn visit_enum<A: EnumAccess<'de>>(mut self, tagged: A) -> Result<(), A::Error> {
        self.refuse_if(!self.reader.tags, Refusal::Tag)?;
        let (IgnoredAny, value) = tagged.variant()?;
        value.newtype_variant_seed(self)
    }
}
