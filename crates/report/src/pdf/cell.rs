//! A text laid out in a given width: shaped, wrapped to a few lines, and drawn with what it says beside its glyphs.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    ops::Range,
    rc::Rc,
};

use krilla::{
    geom::Point,
    surface::Surface,
    text::{Font, GlyphId, KrillaGlyph},
};
use parley::{
    Alignment, AlignmentOptions, FontFamily, FontFamilyName, FontWeight, Layout, LayoutContext, LineHeight,
    OverflowWrap, StyleProperty,
};

use super::{Fonts, PdfError, fonts::FontSet};

/// What is longer is cut before it is looked at.
const LETTERS_MAX: usize = 600;
const LINES_MAX: usize = 3;
/// Texts that come again and again, such as Yes and SSL, are laid out once.
const KEPT_MAX: usize = 5_000;
/// Missing characters that are named.
const MISSING_MAX: usize = 20;

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    pub(super) is_bold: bool,
    pub(super) size: f32,
}

impl Style {
    pub(super) fn cell() -> Self {
        Self { is_bold: false, size: 7.5 }
    }

    pub(super) fn title() -> Self {
        Self { is_bold: true, size: 14.0 }
    }
}

/// Glyphs of one font, one after another.
#[derive(Debug)]
struct Segment {
    x: f32,
    y: f32,
    font: FontKey,
    glyphs: Vec<KrillaGlyph>,
}

/// Identity of a font's data, and the font in it.
type FontKey = (u64, u32);

/// A text that was laid out.
#[derive(Clone, Debug)]
pub(super) struct Laid(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    segments: Vec<Segment>,
    width: f32,
    height: f32,
    size: f32,
    is_rtl: bool,
    data: HashMap<FontKey, parley::FontData>,
}

impl Laid {
    pub(super) fn height(&self) -> f32 {
        self.0.height
    }

    pub(super) fn width(&self) -> f32 {
        self.0.width
    }

    /// Draws the text with its upper left corner there; from the right where it reads so.
    pub(super) fn draw(
        &self,
        surface: &mut Surface<'_>,
        x: f32,
        y: f32,
        width: f32,
        fonts: &mut HashMap<FontKey, Font>,
    ) -> Result<(), PdfError> {
        let shift = if self.0.is_rtl { (width - self.0.width).max(0.0) } else { 0.0 };
        for segment in &self.0.segments {
            let font = match fonts.entry(segment.font) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(new) => {
                    let data = self.0.data.get(&segment.font).ok_or(PdfError::Font)?.clone();
                    let (bytes, _) = data.data.into_raw_parts();
                    new.insert(Font::new(bytes.into(), data.index).ok_or(PdfError::Font)?).clone()
                }
            };
            let start = Point::from_xy(x + shift + segment.x, y + segment.y);
            surface.draw_glyphs(start, &segment.glyphs, font, &self.0.text, self.0.size, false);
        }
        Ok(())
    }
}

/// Lays texts out, and remembers.
pub(super) struct Layouts {
    fonts: FontSet,
    context: LayoutContext<()>,
    kept: HashMap<(String, bool, u32, u32), Laid>,
    missing: Vec<char>,
}

impl Layouts {
    pub(super) fn new(fonts: &Fonts) -> Self {
        Self { fonts: fonts.set(), context: LayoutContext::new(), kept: HashMap::new(), missing: Vec::new() }
    }

    /// Characters that no font has, in the order in which they came.
    pub(super) fn missing(self) -> Vec<char> {
        self.missing
    }

    pub(super) fn lay(&mut self, text: &str, style: Style, width: f32) -> Laid {
        let text: String = text.chars().take(LETTERS_MAX).map(visible).collect();
        let key = (text.clone(), style.is_bold, style.size.to_bits(), width.to_bits());
        if let Some(laid) = self.kept.get(&key) {
            return laid.clone();
        }
        let laid = self.lay_anew(text, style, width);
        if self.kept.len() < KEPT_MAX {
            self.kept.insert(key, laid.clone());
        }
        laid
    }

    fn lay_anew(&mut self, mut text: String, style: Style, width: f32) -> Laid {
        let mut layout = self.layout(&text, style, width);
        while let Some(end) = end_of_room(&layout) {
            // The dots need room too: two letters less each time they do not fit.
            let cut = text.floor_char_boundary(end.min(text.len().saturating_sub('…'.len_utf8())));
            let kept: Vec<char> = text[..cut].trim_end_matches('…').chars().collect();
            text = kept[..kept.len().saturating_sub(2)].iter().collect();
            text.push('…');
            layout = self.layout(&text, style, width);
        }
        let (mut segments, mut data) = (Vec::new(), HashMap::new());
        let (mut is_rtl, mut y) = (false, 0.0);
        for line in layout.lines() {
            let metrics = line.metrics();
            let mut x = 0.0;
            for run in line.runs() {
                is_rtl |= run.is_rtl() && x == 0.0;
                let font = run.font();
                let key = (font.data.id(), font.index);
                data.entry(key).or_insert_with(|| font.clone());
                let begin = x;
                let mut glyphs: Vec<KrillaGlyph> = Vec::new();
                for cluster in run.visual_clusters() {
                    if cluster.is_ligature_continuation() {
                        if let Some(last) = glyphs.last_mut() {
                            last.text_range = joined(&last.text_range, &cluster.text_range());
                        }
                        continue;
                    }
                    for glyph in cluster.glyphs() {
                        if glyph.id == 0 {
                            self.miss(&text[cluster.text_range()]);
                        }
                        let size = run.font_size();
                        glyphs.push(KrillaGlyph::new(
                            GlyphId::new(glyph.id),
                            glyph.advance / size,
                            glyph.x / size,
                            glyph.y / size,
                            0.0,
                            cluster.text_range(),
                            None,
                        ));
                        x += glyph.advance;
                    }
                }
                if !glyphs.is_empty() {
                    segments.push(Segment { x: begin, y: metrics.baseline, font: key, glyphs });
                }
            }
            y = metrics.block_max_coord;
        }
        let inner = Inner { width: layout.width(), height: y, size: style.size, text, segments, is_rtl, data };
        Laid(Rc::new(inner))
    }

    fn layout(&mut self, text: &str, style: Style, width: f32) -> Layout<()> {
        let names: Vec<_> =
            self.fonts.families.iter().map(|it| FontFamilyName::Named(Cow::Borrowed(it.as_str()))).collect();
        let mut builder = self.context.ranged_builder(&mut self.fonts.context, text, 1.0, false);
        builder.push_default(StyleProperty::FontFamily(FontFamily::List(Cow::Owned(names))));
        builder.push_default(StyleProperty::FontSize(style.size));
        builder.push_default(StyleProperty::LineHeight(LineHeight::FontSizeRelative(1.25)));
        builder.push_default(StyleProperty::OverflowWrap(OverflowWrap::Anywhere));
        let weight = if style.is_bold { FontWeight::BOLD } else { FontWeight::NORMAL };
        builder.push_default(StyleProperty::FontWeight(weight));
        let mut layout = builder.build(text);
        layout.break_all_lines(Some(width));
        layout.align(Alignment::Left, AlignmentOptions::default());
        layout
    }

    fn miss(&mut self, text: &str) {
        for letter in text.chars() {
            if self.missing.len() < MISSING_MAX && !self.missing.contains(&letter) {
                self.missing.push(letter);
            }
        }
    }
}

/// Where the last line that has room ends; `None` if all have.
fn end_of_room(layout: &Layout<()>) -> Option<usize> {
    let lines: Vec<_> = layout.lines().collect();
    (lines.len() > LINES_MAX).then(|| lines[LINES_MAX - 1].text_range().end)
}

fn joined(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}

/// A character that stays in its line and does not turn it round.
fn visible(letter: char) -> char {
    if domain::text::has_control(letter.encode_utf8(&mut [0; 4])) { ' ' } else { letter }
}
