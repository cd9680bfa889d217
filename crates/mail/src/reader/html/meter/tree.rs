//! A tree that is none: it knows of its nodes what the parser asks for, and what the real one would have to do.
//!
//! The real one is a list of children and a parent in each node; whoever looks for a node among its siblings looks at all of
//! them. Neighbouring text is one node, and how long it takes to write that is quadratic in what has to be escaped in it.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    rc::Rc,
};

use html5ever::{
    Attribute, ExpandedName, LocalName, Namespace, QualName,
    interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink},
    ns,
    tendril::StrTendril,
};

use super::{Meter, count};

/// A node without its text and attributes, bytes; and an attribute without its value.
const NODE: u64 = 200;
const ATTRIBUTE: u64 = 64;
/// Each walks from its place up to the root: beyond a handful it is an attack. Steps.
const SELECTED_CONTENT: u64 = 1 << 20;

pub(super) type Handle = Rc<Node>;

/// How many children a node has. The children share it, and take it with them when all of them move.
type Family = Rc<Cell<u64>>;

pub(super) struct Node {
    name: QualName,
    /// Of a `template` only.
    contents: Option<Handle>,
    is_integration_point: bool,
    n_attributes: Cell<u64>,
    depth: Cell<u32>,
    children: RefCell<Family>,
    /// Its parent's children, if it has a parent.
    siblings: RefCell<Option<Family>>,
    /// The text that its children end with, and the text right before it.
    last_text: Cell<Option<Escapes>>,
    text_before: Cell<Option<Escapes>>,
}

impl Node {
    fn new(name: QualName) -> Self {
        Self {
            name,
            contents: None,
            is_integration_point: false,
            n_attributes: Cell::default(),
            depth: Cell::default(),
            children: RefCell::default(),
            siblings: RefCell::default(),
            last_text: Cell::default(),
            text_before: Cell::default(),
        }
    }
}

/// How many characters to escape stand behind the last angle bracket (or quotation mark, in an attribute) of a text. From each
/// of them the writer looks for the next one.
#[derive(Clone, Copy, Default)]
struct Escapes(u64);

impl Escapes {
    /// How many bytes are looked at to write the text.
    fn add(&mut self, text: &str, ends: [u8; 3]) -> u64 {
        let mut n_scanned = count(text.len());
        for byte in text.bytes() {
            match byte {
                it if ends.contains(&it) => self.0 = 0,
                // The second one begins a space that does not break, and much else.
                b'&' | 0xc2 => self.0 += 1,
                _ => {}
            }
            n_scanned = n_scanned.saturating_add(self.0);
        }
        n_scanned
    }
}

pub(super) fn qualified(namespace: Namespace, name: LocalName) -> QualName {
    QualName::new(None, namespace, name)
}

pub(super) struct Tree {
    document: Handle,
    meter: Rc<Meter>,
}

impl Tree {
    pub(super) fn new(meter: Rc<Meter>) -> Self {
        Self { document: Rc::new(Node::new(qualified(ns!(), LocalName::default()))), meter }
    }

    fn node(&self, name: QualName) -> Node {
        self.meter.keep(NODE);
        Node::new(name)
    }

    fn unnamed(&self) -> Handle {
        Rc::new(self.node(qualified(ns!(), LocalName::default())))
    }

    fn attributes(&self, attributes: &[Attribute]) {
        for it in attributes {
            self.meter.keep(ATTRIBUTE + count(it.value.len()));
            self.meter.scan(Escapes::default().add(&it.value, *b"<>\""));
        }
    }

    /// Puts text where there may be some already.
    fn write(&self, place: &Cell<Option<Escapes>>, text: &str) {
        let mut escapes = place.get().unwrap_or_else(|| {
            self.meter.keep(NODE);
            Escapes::default()
        });
        self.meter.keep(count(text.len()));
        self.meter.scan(escapes.add(text, *b"<><"));
        place.set(Some(escapes));
    }

    /// Makes it a sibling of those, at that depth, behind that text.
    fn place(&self, node: &Node, siblings: &Family, depth: u32, before: Option<Escapes>) {
        siblings.set(siblings.get() + 1);
        node.siblings.replace(Some(Rc::clone(siblings)));
        node.text_before.set(before);
        node.depth.set(depth);
        self.meter.nest(depth);
    }

    /// Looks for a node among its siblings.
    fn find(&self, node: &Node) {
        self.meter.step(node.siblings.borrow().as_ref().map_or(0, |it| it.get()));
    }
}

impl TreeSink for Tree {
    type Handle = Handle;
    type Output = ();
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) {}

    fn parse_error(&self, message: Cow<'static, str>) {
        self.meter.keep(ATTRIBUTE + count(message.len()));
    }

    fn get_document(&self) -> Handle {
        Rc::clone(&self.document)
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        self.meter.step(1);
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Handle {
        self.attributes(&attributes);
        if &*name.local == "selectedcontent" {
            self.meter.step(SELECTED_CONTENT);
        }
        Rc::new(Node {
            contents: flags.template.then(|| self.unnamed()),
            is_integration_point: flags.mathml_annotation_xml_integration_point,
            n_attributes: Cell::new(count(attributes.len())),
            ..self.node(name)
        })
    }

    fn create_comment(&self, text: StrTendril) -> Handle {
        self.meter.keep(count(text.len()));
        self.unnamed()
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> Handle {
        self.meter.keep(count(target.len()) + count(data.len()));
        self.unnamed()
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        match child {
            NodeOrText::AppendText(text) => self.write(&parent.last_text, &text),
            NodeOrText::AppendNode(node) => {
                let family = Rc::clone(&parent.children.borrow());
                self.place(&node, &family, parent.depth.get() + 1, parent.last_text.take());
            }
        }
    }

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        self.find(sibling);
        match child {
            NodeOrText::AppendText(text) => self.write(&sibling.text_before, &text),
            NodeOrText::AppendNode(node) => {
                self.remove_from_parent(&node);
                if let Some(family) = &*sibling.siblings.borrow() {
                    self.place(&node, family, sibling.depth.get(), sibling.text_before.take());
                }
            }
        }
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        if element.siblings.borrow().is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(previous, child);
        }
    }

    fn append_doctype_to_document(&self, name: StrTendril, _: StrTendril, _: StrTendril) {
        self.meter.keep(NODE + count(name.len()));
    }

    fn get_template_contents(&self, target: &Handle) -> Handle {
        Rc::clone(target.contents.as_ref().unwrap_or(&self.document))
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        self.meter.step(1);
        Rc::ptr_eq(one, other)
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn add_attrs_if_missing(&self, target: &Handle, attributes: Vec<Attribute>) {
        self.attributes(&attributes);
        let n = target.n_attributes.get() + count(attributes.len());
        target.n_attributes.set(n);
        // All of them are hashed anew.
        self.meter.step(n * 32);
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.find(target);
        if let Some(family) = target.siblings.take() {
            family.set(family.get().saturating_sub(1));
        }
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let n_before = new_parent.children.borrow().get();
        node.children.swap(&new_parent.children);
        let children = new_parent.children.borrow();
        self.meter.step(children.get());
        children.set(children.get() + n_before);
        new_parent.last_text.set(node.last_text.take());
    }

    fn is_mathml_annotation_xml_integration_point(&self, target: &Handle) -> bool {
        target.is_integration_point
    }
}
