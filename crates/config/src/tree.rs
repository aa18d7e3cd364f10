//! A YAML document as a tree in which everything knows its place in the text.
//!
//! It is built from the parser's events rather than through serde: serde stops at the first error and forgets
//! where a value stood, and a report is to name every problem of a file with its line and column.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::limits::NESTING_MAX;
use crate::problem::{At, Finding, Problems, Quoted, Span};
use crate::syntax;

/// A document.
///
/// An alias is a second edge to the node of its anchor, so aliases of aliases take no room. It also means that
/// following edges may never end; those who read go as deep as the format does and no further.
#[derive(Debug)]
pub(crate) struct Tree<'t> {
    nodes: Vec<Node<'t>>,
    root: NodeId,
}

/// A place in [`Tree::nodes`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeId(usize);

#[derive(Debug)]
pub(crate) struct Node<'t> {
    pub(crate) span: Span,
    pub(crate) kind: Kind<'t>,
}

#[derive(Debug)]
pub(crate) enum Kind<'t> {
    /// Nothing at all, or one of the words for it.
    Nothing,
    /// A scalar; quoted, it is text and nothing else.
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
    /// Builds the tree of the one document in `text`; without one, or without valid YAML, says so and gives
    /// nothing.
    pub(crate) fn parse(text: &'t str, problems: &mut Problems) -> Option<Self> {
        let mut builder = Builder::new(problems);
        let mut documents = 0_usize;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok((event, span)) => (event, Span { start: span.start.index(), end: span.end.index() }),
                Err(error) => {
                    builder.problems.push(syntax::finding(text, &error));
                    return None;
                }
            };
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
            }
            if documents > 1 {
                builder.problems.push(
                    Finding::at(span, "a second YAML document").help(
                        "a file is one document; remove this `---` and what follows it, or join the two",
                    ),
                );
                return None;
            }
            builder.event(event, span).ok()?;
        }
        let Builder { nodes, .. } = builder;
        let root = NodeId(0);
        match nodes.first() {
            None | Some(Node { kind: Kind::Nothing, .. }) => {
                problems.push(
                    Finding::of_file("the file is empty")
                        .help("the least is a listener with its pool and a pool with its backends"),
                );
                None
            }
            Some(_) => Some(Self { nodes, root }),
        }
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node<'t> {
        &self.nodes[id.0]
    }
}

/// A tree under construction.
struct Builder<'t, 'p> {
    nodes: Vec<Node<'t>>,
    /// The lists and maps that are open, outermost first.
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, NodeId>,
    problems: &'p mut Problems,
}

/// A list or a map whose end has not been seen.
struct Open<'t> {
    id: NodeId,
    /// Whether the next node is a key of a map, or the value of one.
    expects: Expects<'t>,
    /// The keys of a map so far.
    keys: HashMap<Cow<'t, str>, Span>,
}

enum Expects<'t> {
    Item,
    Key,
    ValueOf(At<Cow<'t, str>>),
    /// A value whose key was refused; it is read over.
    ValueOfNone,
}

/// Reading on makes no sense; the reason has been reported.
struct Stop;

impl<'t, 'p> Builder<'t, 'p> {
    fn new(problems: &'p mut Problems) -> Self {
        Self { nodes: Vec::new(), open: Vec::new(), anchors: HashMap::new(), problems }
    }

    fn event(&mut self, event: Event<'t>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
            Event::Alias(anchor) => {
                let id = self.anchors[&anchor]; // The parser refuses an alias without an anchor.
                self.attach(id, span);
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                let id = self.add(scalar(text, style), span, anchor);
                self.attach(id, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.begin(Kind::List(Vec::new()), Expects::Item, span, anchor)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span);
                self.begin(Kind::Map(Vec::new()), Expects::Key, span, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tagged: bool, span: Span) {
        if tagged {
            self.problems.push(
                Finding::at(span, "a YAML tag, which has no meaning here")
                    .help("remove the `!` and its word"),
            );
        }
    }

    fn add(&mut self, kind: Kind<'t>, span: Span, anchor: usize) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node { span, kind });
        if anchor != NO_ANCHOR {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn begin(&mut self, kind: Kind<'t>, expects: Expects<'t>, span: Span, anchor: usize) -> Result<(), Stop> {
        if self.open.len() >= NESTING_MAX {
            self.problems.push(
                Finding::at(span, format!("nested more than {NESTING_MAX} levels deep"))
                    .help("the format needs seven levels; look for a bracket or a dash too many"),
            );
            return Err(Stop);
        }
        let id = self.add(kind, span, anchor);
        self.attach(id, span);
        self.open.push(Open { id, expects, keys: HashMap::new() });
        Ok(())
    }

    fn end(&mut self, span: Span) {
        let open = self.open.pop().expect("the parser closes what it opened");
        let node = &mut self.nodes[open.id.0];
        if node.span.start < node.span.end {
            // In brackets: up to the closing one.
            node.span.end = span.end;
        } else if let Kind::Map(entries) = &node.kind
            && let Some(first) = entries.first()
        {
            node.span = first.key.span;
        }
    }

    /// Makes the node a child of the innermost list or map that is open.
    fn attach(&mut self, id: NodeId, span: Span) {
        let Some(open) = self.open.last_mut() else { return };
        match std::mem::replace(&mut open.expects, Expects::Key) {
            Expects::Item => {
                open.expects = Expects::Item;
                let Kind::List(items) = &mut self.nodes[open.id.0].kind else {
                    unreachable!("items are of lists")
                };
                items.push(id);
            }
            Expects::Key => open.expects = key(&self.nodes[id.0], span, &mut open.keys, self.problems),
            Expects::ValueOf(key) => {
                let Kind::Map(entries) = &mut self.nodes[open.id.0].kind else {
                    unreachable!("keys are of maps")
                };
                entries.push(Entry { key, value: id });
            }
            Expects::ValueOfNone => {}
        }
    }
}

/// What follows `node`, which stands where a key does.
fn key<'t>(
    node: &Node<'t>,
    span: Span,
    keys: &mut HashMap<Cow<'t, str>, Span>,
    problems: &mut Problems,
) -> Expects<'t> {
    let Kind::Scalar { text, .. } = &node.kind else {
        problems.push(
            Finding::at(span, "a key that is not a word")
                .help("a key is one plain word, followed by `:` and a space"),
        );
        return Expects::ValueOfNone;
    };
    if let Some(first) = keys.get(text) {
        problems.push(
            Finding::at(span, format!("the key {} is here twice", Quoted(text)))
                .see(*first, "first here")
                .help("keep one of the two"),
        );
        return Expects::ValueOfNone;
    }
    keys.insert(text.clone(), span);
    Expects::ValueOf(At { value: text.clone(), span })
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Kind<'_> {
    let quoted = style != ScalarStyle::Plain;
    if !quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        return Kind::Nothing;
    }
    Kind::Scalar { text, quoted }
}

/// The parser numbers anchors from 1.
const NO_ANCHOR: usize = 0;
