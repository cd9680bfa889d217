//! What it would cost to wash a document, counted before it is washed: washing cannot be stopped once it has begun.
//!
//! Parsing HTML is quadratic in more ways than anybody can see in the text: in what is open, in the attributes of a tag, in
//! the formatting that is opened anew in each paragraph, in what stands before a table. So the parser itself is asked, fed
//! piece by piece, with a tree that holds nothing and counts what is done to it.

mod tree;

use std::{cell::Cell, rc::Rc};

use html5ever::{
    TokenizerResult,
    buffer_queue::BufferQueue,
    interface::create_element,
    local_name, ns,
    tendril::StrTendril,
    tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts},
    tree_builder::{TreeBuilder, TreeBuilderOpts},
};
use service::ports::ReadError;

use self::tree::{Handle, Tree, qualified};

/// The most steps; each is a comparison, or a few bytes copied: about a nanosecond.
const STEPS_MAX: u64 = 1 << 28;
/// The most memory of the tree, bytes, as [`tree`] estimates it.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The deepest nesting; browsers stop at 512.
const DEPTH_MAX: u32 = 400;
/// So much is parsed between two looks at what it cost, bytes.
const PIECE: usize = 4 * 1024;
/// What a token costs beside what is counted for itself, steps.
const TOKEN: u64 = 32;
/// So many bytes are looked through in a step.
const SCANNED: u64 = 16;

/// What was counted so far.
#[derive(Debug, Default)]
pub(super) struct Meter {
    steps: Cell<u64>,
    scanned: Cell<u64>,
    bytes: Cell<u64>,
    depth: Cell<u32>,
}

impl Meter {
    fn step(&self, n: u64) {
        self.steps.set(self.steps.get().saturating_add(n));
    }

    fn scan(&self, n_bytes: u64) {
        self.scanned.set(self.scanned.get().saturating_add(n_bytes));
    }

    fn keep(&self, n_bytes: u64) {
        self.bytes.set(self.bytes.get().saturating_add(n_bytes));
    }

    fn nest(&self, depth: u32) {
        self.depth.set(self.depth.get().max(depth));
    }

    pub(super) fn steps(&self) -> u64 {
        self.steps.get().saturating_add(self.scanned.get() / SCANNED)
    }

    fn is_over(&self) -> bool {
        self.steps() > STEPS_MAX || self.bytes.get() > BYTES_MAX || self.depth.get() > DEPTH_MAX
    }
}

/// What washing the document costs.
///
/// # Errors
/// `TooComplex` once it is more than is borne; nothing is parsed from there on.
pub(super) fn measure(html: &str) -> Result<Rc<Meter>, ReadError> {
    let meter = Rc::new(Meter::default());
    let tokenizer = tokenizer(&meter);
    let (queue, mut rest) = (BufferQueue::default(), html);
    // Of the token that has not ended yet.
    let mut n_words = 0_u64;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.floor_char_boundary(PIECE));
        rest = behind;
        queue.push_back(StrTendril::from_slice(piece));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        let guard = &tokenizer.sink;
        if guard.has_token.take() {
            n_words = 0;
        }
        // A tag is compared with itself, attribute by attribute, before it is a token.
        n_words += words(piece) + guard.n_errors.take();
        if meter.is_over() || meter.steps().saturating_add(n_words * n_words) > STEPS_MAX {
            return Err(ReadError::TooComplex);
        }
    }
    tokenizer.end();
    if meter.is_over() { Err(ReadError::TooComplex) } else { Ok(meter) }
}

/// Parses a fragment as ammonia does.
fn tokenizer(meter: &Rc<Meter>) -> Tokenizer<Guard> {
    let tree = Tree::new(Rc::clone(meter));
    let context = create_element(&tree, qualified(ns!(html), local_name!("div")), Vec::new());
    let builder = TreeBuilder::new_for_fragment(tree, context, None, TreeBuilderOpts::default());
    let state = builder.tokenizer_state_for_context_elem(false);
    let guard = Guard { builder, meter: Rc::clone(meter), has_token: Cell::default(), n_errors: Cell::default() };
    Tokenizer::new(guard, TokenizerOpts { initial_state: Some(state), ..TokenizerOpts::default() })
}

/// How many words begin in the piece: no more attributes than that, but for those that come with an error.
fn words(piece: &str) -> u64 {
    count(piece.split_ascii_whitespace().count())
}

/// Stands between the tokenizer and the tree; once it is too much, no token passes.
struct Guard {
    builder: TreeBuilder<Handle, Tree>,
    meter: Rc<Meter>,
    /// Whether a token has ended since it was last asked.
    has_token: Cell<bool>,
    n_errors: Cell<u64>,
}

impl Guard {
    fn count(&self, token: &Token) {
        self.meter.step(TOKEN);
        match token {
            Token::ParseError(_) => self.n_errors.set(self.n_errors.get() + 1),
            Token::TagToken(tag) => {
                self.has_token.set(true);
                let n = count(tag.attrs.len());
                self.meter.step(n * n);
                // What formats is compared with all formatting that is open, attributes and all.
                if tag.kind == TagKind::StartTag {
                    self.meter.step(n * u64::from(self.meter.depth.get()));
                }
            }
            _ => self.has_token.set(true),
        }
    }
}

impl TokenSink for Guard {
    type Handle = Handle;

    fn process_token(&self, token: Token, line_number: u64) -> TokenSinkResult<Handle> {
        self.count(&token);
        if self.meter.is_over() {
            return TokenSinkResult::Continue;
        }
        self.builder.process_token(token, line_number)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(html: &str) -> Option<u64> {
        measure(html).ok().map(|it| it.steps())
    }

    /// Numbered units: `#` becomes the number.
    fn numbered(unit: &str, n: usize) -> String {
        (0..n).map(|nth| unit.replace('#', &nth.to_string())).collect()
    }

    /// Each kept a processor busy for up to a minute, or filled the memory, when somebody opened it.
    #[test]
    fn what_is_quadratic_is_refused() {
        for (name, html) in [
            ("elements that no end tag closes", "<div></x>".repeat(20_000)),
            ("depth behind closed paragraphs", format!("{}{}", "<p></p>".repeat(30_000), "<div>".repeat(20_000))),
            ("attributes", format!("<div {}>", numbered(" a#", 30_000))),
            ("attributes in quotation marks", format!("<div {}>", numbered("a#=''", 30_000))),
            ("attributes behind slashes", format!("<div {}>", numbered("/a#", 30_000))),
            ("an unfinished tag", format!("<div {}", numbered(" a#", 30_000))),
            ("attributes of tags that come later", numbered("<html a#>", 30_000)),
            ("ampersands", "&".repeat(200_000)),
            ("spaces that do not break", "\u{a0}".repeat(200_000)),
            ("ampersands in an attribute", format!("<p title='{}'>", "&".repeat(200_000))),
            ("ampersands between end tags that close nothing", "&&&&&&&&&&&&&&&&</x>".repeat(12_000)),
            ("ampersands before a table", format!("<table>{}", "<tr>&&&&&&&&&&&&&&&&".repeat(12_000))),
            ("formatting anew in each paragraph", format!("<p>{}{}", numbered("<b id=#>", 300), "<p>x".repeat(5_000))),
            (
                "long attributes anew in each paragraph",
                format!("<p><font color='{}'>{}", "x".repeat(100_000), "<p>x".repeat(2_000)),
            ),
            ("what stands before a table", format!("{}<table>{}", "<br>".repeat(60_000), "<b></b>".repeat(60_000))),
            ("errors", format!("<p {}>", "\"".repeat(1_000_000))),
            ("chosen content", "<selectedcontent></selectedcontent>".repeat(2_000)),
        ] {
            assert_eq!(measure(&html).err(), Some(ReadError::TooComplex), "{name}");
        }
    }

    #[test]
    fn what_people_send_is_let_through() {
        let row = "<tr><td style='padding:0'><a href='https://example.org/?a=1&b=2'><b>News&nbsp;of</b></a> the \
            <i>week</i></td></tr>";
        let tables = format!("{}{}{}", "<table><tr><td>".repeat(20), row.repeat(8_000), "</table>".repeat(20));
        for (name, html) in [
            ("a newsletter", format!("<html><head><style>a{{}}</style></head><body>{tables}</body></html>")),
            ("flat paragraphs", "<p>x<br>&nbsp;y\n".repeat(20_000)),
            ("lists that are not closed", format!("<ul>{}</ul>", "<li>a<b>b</b>".repeat(20_000))),
            ("a long thread", format!("{}x{}", "<div><blockquote>".repeat(150), "</blockquote></div>".repeat(150))),
            ("a log", format!("<pre>{}</pre>", "12:00 a &amp; b -&gt; c\n".repeat(40_000))),
            ("an image in the text", format!("<img src='data:image/png;base64,{}'>", "ab/+cd09".repeat(180_000))),
            ("a long comment", format!("<!--[if mso]>{}<![endif]-->", "<td width=600>x </td>".repeat(4_000))),
        ] {
            assert!(steps(&html).is_some(), "{name}");
        }
    }

    #[test]
    fn twice_as_much_of_the_same_costs_twice_as_much() {
        for unit in [
            "<p>x<br>y</p>",
            "<div><b>x</b></div>",
            "<table><tr><td>a &lt; b</td></tr></table>",
            "<li>a\n",
            "<a href=x>b</a>",
        ] {
            let (one, two) = (steps(&unit.repeat(2_000)).unwrap(), steps(&unit.repeat(4_000)).unwrap());
            assert!(two < one * 5 / 2, "{unit}: {one}, {two}");
        }
    }

    #[test]
    fn the_pieces_make_no_difference() {
        let html = "<p title='a & b'>x &amp; y</p><table>z<tr><td>ä</table><!-- c --><b>d</b>".repeat(400);
        let (whole, pieces) = (measure(&html).unwrap(), Rc::new(Meter::default()));
        let tokenizer = tokenizer(&pieces);
        let queue = BufferQueue::default();
        for letter in html.chars() {
            queue.push_back(StrTendril::from_char(letter));
            while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        }
        tokenizer.end();
        // Text comes in more tokens, and that is all.
        let tree = |it: &Meter| (it.bytes.get(), it.depth.get(), it.scanned.get());
        assert_eq!(tree(&pieces), tree(&whole));
    }
}
