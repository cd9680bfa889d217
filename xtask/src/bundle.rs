//! The browser bundle: Trunk makes the WebAssembly, the style sheets become one file, everything is compressed beforehand.

use std::{
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process::{Run as _, announce, command},
    tidy::files,
    tools,
};

/// The most that the browser may have to load, WASM + JS + CSS + the texts of its language in brotli, bytes.
const BUDGET: u64 = 450_000;
const PKG: &str = "dist/pkg";

/// Builds `dist/pkg` unless it is newer than everything it is made from.
pub(crate) fn build() -> Result<()> {
    if is_fresh("dist/stamp")? {
        return Ok(());
    }
    let folders = tools::for_bundle()?;
    announce("building the browser bundle");
    trunk(&folders, "frontend/index.html", "dist")?;
    style()?;
    words()?;
    compress(PKG)?;
    fs::write("dist/stamp", "")?;
    Ok(())
}

/// Builds `dist-spa`: the same app for the browser alone, to be served by any web server in front of a running Posthorn.
pub(crate) fn build_spa() -> Result<()> {
    const SPA: &str = "dist-spa/spa";
    if is_fresh("dist-spa/stamp")? {
        return Ok(());
    }
    let folders = tools::for_bundle()?;
    announce("building the app for the browser alone");
    trunk(&folders, "frontend/spa.html", "dist-spa")?;
    fs::rename("dist-spa/spa.html", "dist-spa/index.html")?;
    fs::write(format!("{SPA}/main.css"), styles()?)?;
    fs::copy("frontend/start.js", format!("{SPA}/start.js"))?;
    for locale in words::Locale::ALL {
        fs::write(format!("{SPA}/words-{}.txt", locale.tag()), locale.texts())?;
    }
    compress(SPA)?;
    fs::write("dist-spa/stamp", "")?;
    Ok(())
}

fn trunk(folders: &[PathBuf], page: &str, dist: &str) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(folders.iter().cloned().chain(env::split_paths(&path)))?;
    let program = folders.iter().map(|it| it.join("trunk")).find(|it| it.exists()).context("trunk is missing")?;
    let mut trunk = command(program);
    trunk.args(["build", "--release", "--dist", dist, page]).env("PATH", &path).env("TRUNK_OFFLINE", "true");
    // Trunk reads NO_COLOR as a boolean and refuses the customary `1`.
    trunk.env_remove("NO_COLOR").run()
}

/// The style sheet, with its hash in its name.
fn style() -> Result<()> {
    let all = styles()?;
    fs::write(format!("{PKG}/main-{:016x}.css", hash(&all)), all)?;
    Ok(())
}

/// The files that `style/main.css` imports, in their order, as one.
fn styles() -> Result<String> {
    let main = fs::read_to_string("style/main.css")?;
    let mut all = String::new();
    for line in main.lines() {
        if let Some(name) = line.trim().strip_prefix("@import \"").and_then(|it| it.strip_suffix("\";")) {
            let file = Path::new("style").join(name);
            all += &fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        } else {
            all += line;
        }
        all.push('\n');
    }
    Ok(bare(&all))
}

/// A style sheet without comments and indentation.
fn bare(css: &str) -> String {
    let mut rest = css;
    let mut kept = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        kept += before;
        rest = comment.split_once("*/").map_or("", |it| it.1);
    }
    kept += rest;
    kept.lines().map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The texts of each language: the browser loads those of its page.
fn words() -> Result<()> {
    for locale in words::Locale::ALL {
        let name = format!("words-{}-{:016x}.txt", locale.tag(), hash(locale.texts()));
        fs::write(Path::new(PKG).join(name), locale.texts())?;
    }
    Ok(())
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A `.br` and a `.gz` beside each file, made by Node's zlib.
fn compress(folder: &str) -> Result<()> {
    const SCRIPT: &str = r"
        const fs = require('fs'), zlib = require('zlib'), folder = process.argv[1];
        for (const name of fs.readdirSync(folder)) {
            const path = folder + '/' + name;
            if (!/\.(js|wasm|css|txt)$/.test(name)) continue;
            const bytes = fs.readFileSync(path), c = zlib.constants;
            fs.writeFileSync(path + '.br', zlib.brotliCompressSync(bytes,
                {params: {[c.BROTLI_PARAM_QUALITY]: 11, [c.BROTLI_PARAM_SIZE_HINT]: bytes.length}}));
            fs.writeFileSync(path + '.gz', zlib.gzipSync(bytes, {level: 9}));
        }";
    command("node").args(["-e", SCRIPT, folder]).run()
}

/// Prints the size of the bundle and fails above the budget.
pub(crate) fn check_size() -> Result<()> {
    let (mut total, mut texts) = (0, 0);
    for file in files(Path::new(PKG), "br")? {
        let size = fs::metadata(&file)?.len();
        // Of the languages a browser loads one: the longest counts.
        if file.to_string_lossy().ends_with(".txt.br") { texts = texts.max(size) } else { total += size }
    }
    total += texts;
    eprintln!("browser bundle: {total} bytes in brotli, of {BUDGET} at most");
    ensure!(total > 0, "there is no bundle in {PKG}");
    ensure!(total <= BUDGET, "the browser bundle is too large");
    Ok(())
}

fn is_fresh(stamp: &str) -> Result<bool> {
    let Ok(stamp) = fs::metadata(stamp).and_then(|it| it.modified()) else { return Ok(false) };
    let mut inputs = vec!["Cargo.lock".into(), "Cargo.toml".into(), "Trunk.toml".into()];
    for folder in ["app", "frontend", "crates/domain", "crates/words"] {
        for ending in ["rs", "toml", "html", "js"] {
            inputs.extend(files(Path::new(folder), ending)?);
        }
    }
    inputs.extend(files(Path::new("locales"), "json")?);
    inputs.extend(files(Path::new("style"), "css")?);
    let newest = inputs.iter().filter_map(|it| fs::metadata(it).and_then(|it| it.modified()).ok()).max();
    Ok(newest.unwrap_or(SystemTime::UNIX_EPOCH) <= stamp)
}
