//! The fonts of a PDF: those inside, and those of a folder that the operator names.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parley::{
    FontContext,
    fontique::{Blob, Collection, CollectionOptions, SourceCache},
};

/// The family inside; it has Latin, Cyrillic, Greek and Arabic.
const INSIDE: &str = "DejaVu Sans";
/// A font file that is larger than any.
const FILE_MAX: u64 = 64 * 1024 * 1024;

type Bytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Why a folder's fonts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FontError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{} holds no font that can be used", .0.display())]
    NoFont(PathBuf),
}

/// The fonts that documents may use. Cheap to clone.
#[derive(Clone)]
pub struct Fonts(Arc<Vec<Bytes>>);

impl Fonts {
    /// The fonts inside (Latin, Cyrillic, Greek, Arabic), and every font file of `folder`, if any.
    pub fn load(folder: Option<&Path>) -> Result<Self, FontError> {
        let mut fonts: Vec<Bytes> = vec![Arc::new(dejavu::sans::regular()), Arc::new(dejavu::sans::bold())];
        if let Some(folder) = folder {
            let failed = |error| FontError::Read { path: folder.to_owned(), error };
            let mut paths: Vec<_> =
                fs::read_dir(folder).map_err(failed)?.flatten().map(|it| it.path()).filter(|it| is_font(it)).collect();
            paths.sort();
            for path in paths {
                let failed = |error| FontError::Read { path: path.clone(), error };
                if fs::metadata(&path).map_err(failed)?.len() <= FILE_MAX {
                    let bytes: Bytes = Arc::new(fs::read(&path).map_err(failed)?);
                    if Self(Arc::new(vec![Arc::clone(&bytes)])).set().families.is_empty() {
                        return Err(FontError::NoFont(path));
                    }
                    fonts.push(bytes);
                }
            }
        }
        Ok(Self(Arc::new(fonts)))
    }

    /// What one document lays its text out with.
    pub(super) fn set(&self) -> FontSet {
        let mut collection = Collection::new(CollectionOptions { shared: false, system_fonts: false });
        let mut families = Vec::new();
        for bytes in self.0.iter() {
            for (family, _) in collection.register_fonts(Blob::new(Arc::clone(bytes)), None) {
                if let Some(name) = collection.family_name(family)
                    && !families.iter().any(|it| it == name)
                {
                    families.push(name.to_owned());
                }
            }
        }
        families.sort_by_key(|it| it != INSIDE);
        FontSet { context: FontContext { collection, source_cache: SourceCache::default() }, families }
    }
}

fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    ["ttf", "otf", "ttc", "otc"].iter().any(|it| extension.eq_ignore_ascii_case(it))
}

/// The fonts of one document.
pub(super) struct FontSet {
    pub(super) context: FontContext,
    /// In the order in which they are asked for a character.
    pub(super) families: Vec<String>,
}
