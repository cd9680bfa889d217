//! The report as PDF, made without a browser: A4 across, heads repeated, no row in two parts.

mod cell;
mod fonts;

use std::collections::HashMap;

pub use fonts::{FontError, Fonts};
use krilla::{
    Document,
    color::luma,
    geom::{PathBuilder, Rect},
    metadata::Metadata,
    num::NormalizedF32,
    page::PageSettings,
    paint::{Fill, Stroke},
    surface::Surface,
    text::Font,
};

use self::cell::{Laid, Layouts, Style};
use crate::{
    changes::{Change, Line},
    content::Content,
};

/// A4 across, in points.
const PAGE: (f32, f32) = (841.89, 595.28);
const MARGIN: f32 = 34.0;
const PADDING: f32 = 3.0;
/// Widths of the columns, in parts; the last one is there if changes are marked.
const WIDTHS: [f32; 11] = [5.0, 20.0, 7.5, 8.0, 6.5, 5.0, 7.5, 9.0, 7.5, 16.0, 12.0];

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub enum PdfError {
    #[error("the PDF could not be written: {0}")]
    Write(String),
    #[error("a font cannot be used")]
    Font,
}

/// A PDF and what is wrong with it.
pub(crate) struct Pdf {
    pub(crate) bytes: Vec<u8>,
    /// Characters that no font has, a few of them.
    pub(crate) missing: Vec<char>,
}

/// The whole report.
pub(crate) fn document(content: &Content<'_>, fonts: &Fonts) -> Result<Pdf, PdfError> {
    let words = content.locale.words();
    let n_columns = if content.is_marked { 11 } else { 10 };
    let widths = column_widths(&WIDTHS[..n_columns]);
    let mut layouts = Layouts::new(fonts);
    let mut headings = super::headings(words).to_vec();
    headings.extend(content.is_marked.then_some(words.report.change));
    let head: Vec<_> = headings
        .iter()
        .zip(&widths)
        .map(|(text, width)| layouts.lay(text, Style { is_bold: true, ..Style::cell() }, width - 2.0 * PADDING))
        .collect();
    let wide = PAGE.0 - 2.0 * MARGIN;
    let mut above = vec![layouts.lay(content.name, Style::title(), wide)];
    above.extend(content.notes().iter().map(|it| layouts.lay(it, Style::cell(), wide)));
    let rows: Vec<Vec<Laid>> = content.lines.iter().map(|it| row(content, it, &widths, &mut layouts)).collect();
    let pages = paginate(&above, &head, &rows);

    let mut paper = Paper { document: Document::new(), fonts: HashMap::new() };
    paper
        .document
        .set_metadata(Metadata::new().title(content.name.to_owned()).language(content.locale.tag().to_owned()));
    for (nth, page) in pages.iter().enumerate() {
        let number = words.report.page(nth + 1, pages.len());
        let number = layouts.lay(&number, Style::cell(), wide);
        let above = if nth == 0 { &above[..] } else { &[] };
        paper.page(above, &head, &rows[page.clone()], &widths, &number)?;
    }
    let bytes = paper.document.finish().map_err(|it| PdfError::Write(format!("{it:?}")))?;
    Ok(Pdf { bytes, missing: layouts.missing() })
}

fn column_widths(parts: &[f32]) -> Vec<f32> {
    let whole: f32 = parts.iter().sum();
    parts.iter().map(|it| it / whole * (PAGE.0 - 2.0 * MARGIN)).collect()
}

fn row(content: &Content<'_>, line: &Line, widths: &[f32], layouts: &mut Layouts) -> Vec<Laid> {
    let mut cells = super::cells(&line.row, content.locale).to_vec();
    cells.extend(content.is_marked.then(|| content.change(line)));
    let changed = match line.change {
        Some(Change::Changed(cells)) => cells,
        Some(Change::New) => [true; 10],
        _ => [false; 10],
    };
    let lay = |(nth, (text, width)): (usize, (&String, &f32))| {
        let style = Style { is_bold: changed.get(nth).copied().unwrap_or(true), ..Style::cell() };
        layouts.lay(text, style, width - 2.0 * PADDING)
    };
    cells.iter().zip(widths).enumerate().map(lay).collect()
}

fn height(cells: &[Laid]) -> f32 {
    cells.iter().map(Laid::height).fold(0.0, f32::max) + 2.0 * PADDING
}

/// Which rows stand on which page.
fn paginate(above: &[Laid], head: &[Laid], rows: &[Vec<Laid>]) -> Vec<std::ops::Range<usize>> {
    let room = PAGE.1 - 2.0 * MARGIN - height(head) - 14.0;
    let mut left = room - above.iter().map(|it| it.height() + PADDING).sum::<f32>();
    let (mut pages, mut begin) = (Vec::new(), 0);
    for (nth, row) in rows.iter().enumerate() {
        let height = height(row);
        if height > left && nth > begin {
            pages.push(begin..nth);
            begin = nth;
            left = room;
        }
        left -= height;
    }
    pages.push(begin..rows.len());
    pages
}

/// The document as it grows.
struct Paper {
    document: Document,
    fonts: HashMap<(u64, u32), Font>,
}

impl Paper {
    fn page(
        &mut self,
        above: &[Laid],
        head: &[Laid],
        rows: &[Vec<Laid>],
        widths: &[f32],
        number: &Laid,
    ) -> Result<(), PdfError> {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or_else(|| PdfError::Write("page size".to_owned()))?;
        let mut page = self.document.start_page_with(settings);
        let mut surface = page.surface();
        let mut y = MARGIN;
        for text in above {
            text.draw(&mut surface, MARGIN, y, PAGE.0 - 2.0 * MARGIN, &mut self.fonts)?;
            y += text.height() + PADDING;
        }
        for (nth, cells) in std::iter::once(head).chain(rows.iter().map(Vec::as_slice)).enumerate() {
            let height = height(cells);
            let mut x = MARGIN;
            for (text, width) in cells.iter().zip(widths) {
                frame(&mut surface, (x, y, *width, height), nth == 0);
                let inside = width - 2.0 * PADDING;
                text.draw(&mut surface, x + PADDING, y + PADDING, inside, &mut self.fonts)?;
                x += width;
            }
            y += height;
        }
        let x = PAGE.0 - MARGIN - number.width();
        number.draw(&mut surface, x, PAGE.1 - MARGIN + 6.0, number.width(), &mut self.fonts)?;
        surface.finish();
        page.finish();
        Ok(())
    }
}

/// The rule around a cell; a heading is grey inside.
fn frame(surface: &mut Surface<'_>, (x, y, width, height): (f32, f32, f32, f32), is_head: bool) {
    let Some(rect) = Rect::from_xywh(x, y, width, height) else { return };
    let mut path = PathBuilder::new();
    path.push_rect(rect);
    let Some(path) = path.finish() else { return };
    let grey = |level| Fill { paint: luma::Color::new(level).into(), opacity: NormalizedF32::ONE, ..Fill::default() };
    surface.set_fill(is_head.then(|| grey(235)));
    surface.set_stroke(Some(Stroke { paint: luma::Color::new(150).into(), width: 0.4, ..Stroke::default() }));
    surface.draw_path(&path);
    surface.set_stroke(None);
    surface.set_fill(Some(grey(0)));
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use domain::{account::AccountQuery, time::Timestamp};
    use words::Locale;

    use super::*;
    use crate::samples;

    fn pdf(names: &[String], fonts: &Fonts) -> Pdf {
        let lines: Vec<_> =
            names.iter().zip(1..).map(|(name, id)| Line { row: samples::row(id, name), change: None }).collect();
        let content = Content {
            locale: Locale::En,
            name: "Morning",
            query: &AccountQuery::default(),
            lines: &lines,
            is_marked: false,
            zone: "UTC",
            at: Timestamp(0),
        };
        document(&content, fonts).unwrap()
    }

    /// What another program reads in it.
    fn text(pdf: &[u8]) -> String {
        let mut child = Command::new("pdftotext")
            .args(["-layout", "-", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let bytes = pdf.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn every_page_repeats_the_head_and_every_row_is_there_once() {
        let names: Vec<_> = (0..100).map(|it| format!("Mailbox {it:03}")).collect();
        let text = text(&pdf(&names, &Fonts::load(None).unwrap()).bytes);
        let pages: Vec<_> = text.split('\u{c}').filter(|it| !it.trim().is_empty()).collect();
        assert!(pages.len() > 2, "{}", pages.len());
        for (nth, page) in pages.iter().enumerate() {
            assert!(page.contains("Protocol"), "{page}");
            assert!(page.contains(&format!("Page {} of {}", nth + 1, pages.len())), "{page}");
        }
        for name in &names {
            assert_eq!(text.matches(name).count(), 1, "{name}");
        }
    }

    #[test]
    fn latin_cyrillic_and_arabic_are_read_back_and_what_no_font_has_is_named() {
        let names = ["São Paulo – Größe", "Почтовый ящик", "بريد", "信箱"].map(str::to_owned);
        let pdf = pdf(&names, &Fonts::load(None).unwrap());
        let text = text(&pdf.bytes);
        for name in &names[..3] {
            assert!(text.contains(name.as_str()), "{name}: {text}");
        }
        assert_eq!(pdf.missing, ['信', '箱']);
    }

    #[test]
    fn hostile_names_stay_in_their_cells() {
        let names = [
            "x".repeat(1_000_000),
            "\u{202e}evil\u{202c}".to_owned(),
            "\u{301}\u{301}".to_owned(),
            "a\0b\r\nc\u{e000}".to_owned(),
            String::new(),
            " ".to_owned(),
        ];
        let text = text(&pdf(&names, &Fonts::load(None).unwrap()).bytes);
        assert!(text.contains("xxx…") && text.contains("evil"), "{text}");
        assert!(text.len() < 10_000, "{}", text.len());
    }
}
