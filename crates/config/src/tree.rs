//! A YAML document as a tree whose nodes know their place in the text.
//!
//! It is built node by node rather than by deserializing into types: those stop at the first error and lose places,
//! and a report lists every problem of a file with its line and column.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::precheck::{Precheck, precheck};
use crate::problem::{Finding, Problems, Quoted};
use crate::shape::{Shape, shapes};
use crate::span::{At, NodeId, Span};
use crate::syntax;

/// A document.
#[derive(Debug)]
pub(crate) struct Tree<'t> {
    /// In document order; an aliased value is repeated at each of its aliases.
    nodes: Vec<Node<'t>>,
}

#[derive(Debug)]
pub(crate) struct Node<'t> {
    /// A [`Span::Node`] of its own number.
    pub(crate) span: Span,
    pub(crate) kind: Kind<'t>,
    /// Its place in bytes, if the parser returned a slice of the text and not a copy.
    pub(crate) place: Option<Range<usize>>,
}

#[derive(Debug)]
pub(crate) enum Kind<'t> {
    /// Empty, or one of the words for null.
    Nothing,
    /// A scalar. If it is quoted, it is always text.
    Scalar {
        text: Cow<'t, str>,
        quoted: bool,
    },
    List(Vec<NodeId>),
    /// Keys are distinct.
    Map(Vec<Entry<'t>>),
}

#[derive(Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) key: At<Cow<'t, str>>,
    pub(crate) value: NodeId,
}

impl<'t> Tree<'t> {
    /// Builds the tree of the one document in `text`. Without one, or if it is not valid YAML, reports that and
    /// returns none.
    pub(crate) fn parse(text: &'t str, problems: &mut Problems) -> Option<Self> {
        let Precheck::GoOn { tags } = precheck(text, problems) else { return None };
        let shapes = match shapes(text, tags) {
            Ok(shapes) => shapes,
            Err(finding) => {
                problems.push(finding);
                return None;
            }
        };
        if matches!(shapes.first(), None | Some(Shape::Nothing)) {
            problems.push(
                Finding::of_file("the file is empty")
                    .help("the minimum is a listener with a pool, and that pool with a backend"),
            );
            return None;
        }
        let mut builder = Builder { text, shapes: &shapes, nodes: Vec::new(), problems };
        let document = serde_yaml::Deserializer::from_str(text);
        let read = Next(&mut builder).deserialize(document);
        let Builder { nodes, .. } = builder;
        match read {
            Ok(_) => Some(Self { nodes }),
            Err(error) => {
                problems.push(syntax::finding(text, &error));
                None
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id.0]
    }
}

/// A tree under construction.
struct Builder<'t, 'p> {
    text: &'t str,
    shapes: &'p [Shape],
    nodes: Vec<Node<'t>>,
    problems: &'p mut Problems,
}

impl<'t> Builder<'t, '_> {
    /// Records a scalar that the parser returned as a slice of the text.
    fn borrowed(&mut self, id: NodeId, text: &'t str) {
        let start = text.as_ptr().addr() - self.text.as_ptr().addr();
        let end = start + text.len();
        if self.shapes[id.0] == Shape::Nothing {
            self.nodes[id.0].place = Some(start..end);
            return;
        }
        // A plain scalar would include the quote.
        let quote = self.text[end..].chars().next().filter(|next| "'\"".contains(*next));
        self.nodes[id.0].kind = Kind::Scalar { text: Cow::Borrowed(text), quoted: quote.is_some() };
        self.nodes[id.0].place = match quote {
            None => Some(start..end),
            // Otherwise the parser dropped its first lines by folding.
            Some(quote) => self.text[..start].ends_with(quote).then(|| start - 1..end + 1),
        };
    }

    /// The IPv6 address that is the only item of a list.
    fn address(&self, kind: &Kind<'_>) -> Option<Ipv6Addr> {
        let Kind::List(items) = kind else { return None };
        let [item] = items[..] else { return None };
        let Kind::Scalar { text, .. } = &self.nodes[item.0].kind else { return None };
        text.parse().ok()
    }

    /// The key, if `id` can be a key and is not in `keys` yet.
    fn key(&mut self, id: NodeId, keys: &mut HashMap<Cow<'t, str>, Span>) -> Option<At<Cow<'t, str>>> {
        let Node { span, ref kind, .. } = self.nodes[id.0];
        let Kind::Scalar { text, .. } = kind else {
            let finding = Finding::at(span, "a key that is not a word");
            self.problems.push(match self.address(kind) {
                // With a port, YAML reads it as a list that is the key of a number.
                Some(ip) => finding.help(format!("write an IPv6 address in quotes, as in `\"[{ip}]:80\"`")),
                None => finding.help("a key is one plain word, followed by `:` and a space"),
            });
            return None;
        };
        if let Some(first) = keys.get(text) {
            self.problems.push(
                Finding::at(span, format!("the key {} is here twice", Quoted(text)))
                    .see(*first, "first here")
                    .help("keep one of the two"),
            );
            return None;
        }
        keys.insert(text.clone(), span);
        Some(At { value: text.clone(), span })
    }
}

/// The next node.
struct Next<'b, 't, 'p>(&'b mut Builder<'t, 'p>);

impl<'t> DeserializeSeed<'t> for Next<'_, 't, '_> {
    type Value = NodeId;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<NodeId, D::Error> {
        let Self(builder) = self;
        let id = NodeId(builder.nodes.len());
        builder.nodes.push(Node { span: Span::Node(id), kind: Kind::Nothing, place: None });
        let shape = builder.shapes.get(id.0).copied().unwrap_or(Shape::Nothing);
        let content = Content { builder, id };
        match shape {
            Shape::Nothing | Shape::Scalar => deserializer.deserialize_str(content),
            Shape::List => deserializer.deserialize_seq(content),
            Shape::Map => deserializer.deserialize_map(content),
        }?;
        Ok(id)
    }
}

/// The content of a node.
struct Content<'b, 't, 'p> {
    builder: &'b mut Builder<'t, 'p>,
    id: NodeId,
}

impl<'t> Visitor<'t> for Content<'_, 't, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was there before")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'t str) -> Result<(), E> {
        self.builder.borrowed(self.id, text);
        Ok(())
    }

    /// Text with escapes or line breaks.
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let text = Cow::Owned(text.to_owned());
        self.builder.nodes[self.id.0].kind = Kind::Scalar { text, quoted: true };
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<(), A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Next(self.builder))? {
            items.push(item);
        }
        self.builder.nodes[self.id.0].kind = Kind::List(items);
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut entries, mut keys) = (Vec::new(), HashMap::new());
        while let Some(key) = map.next_key_seed(Next(self.builder))? {
            let value = map.next_value_seed(Next(self.builder))?;
            if let Some(key) = self.builder.key(key, &mut keys) {
                entries.push(Entry { key, value });
            }
        }
        self.builder.nodes[self.id.0].kind = Kind::Map(entries);
        Ok(())
    }
}
