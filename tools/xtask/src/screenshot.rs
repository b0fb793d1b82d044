//! `cargo xtask report-screenshot`: the pages of `tinfer verify --report` in a real browser.
//!
//! Pictures are for people to look at. What a program can see, it checks: that no page is wider than its window, and that
//! no label of a drawing lies over another.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::project::Project;
use crate::setup;
use crate::tinfer::Tinfer;

/// What to draw.
#[derive(clap::Args)]
pub struct Options {
    /// Pages; those of the shipped models when none is named
    #[arg(value_name = "PAGE.html")]
    pages: Vec<PathBuf>,
}

/// Draws every page in a light and a dark, a wide and a narrow window.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let Some(browser) = BROWSERS.iter().find_map(|name| process::find(name)) else {
        bail!("there is no browser: install one of {} (`apt-get install chromium`)", BROWSERS.join(", "));
    };
    let folder = project.target_folder().join("report");
    std::fs::create_dir_all(&folder)?;
    let pages = if options.pages.is_empty() { shipped(project)? } else { options.pages.clone() };
    let mut faults = Vec::new();
    for page in &pages {
        let name = page.file_stem().context("a page has a name")?.to_string_lossy();
        for window in WINDOWS {
            let picture = folder.join(format!("{name}-{}.png", window.name));
            let fault = look(&browser, page, window, &folder)?;
            draw(&browser, page, window, &picture)?;
            println!("{}: {}", picture.display(), fault.as_deref().unwrap_or("fits"));
            faults.extend(fault);
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{} windows have faults", faults.len()) }
}

/// Pages of some shipped models as int8 images for a board, where there is an emulator run on it.
fn shipped(project: &Project) -> Result<Vec<PathBuf>> {
    let on_board = setup::prepare(project, &setup::Options::silent_when_found(), &[setup::Purpose::Firmware])? == 0;
    let tinfer = Tinfer::build(project, "report")?;
    let mut pages = Vec::new();
    for model in ["digits-cnn", "fashion-resnet8", "fashion-generator"] {
        let home = project.root().join("models").join(model);
        let (onnx, image) = (home.join(format!("{model}.onnx")), tinfer.folder.join(format!("{model}.tnf")));
        let page = tinfer.folder.join(format!("{model}.html"));
        tinfer.ask::<serde_json::Value>(|c| {
            c.arg("convert").arg(&onnx).arg("-o").arg(&image).args(["--target", "mps2-an386"]);
        })?;
        tinfer.ask::<serde_json::Value>(|c| {
            c.arg("verify").arg(&onnx).arg(&image).arg("--inputs").arg(home.join("calibration.npz"));
            c.arg("--report").arg(&page);
            if on_board {
                c.args(["--on", "emulator:mps2-an386", "--device-samples", "12"]);
            }
        })?;
        pages.push(page);
    }
    Ok(pages)
}

/// A size and a colour scheme.
#[derive(Clone, Copy)]
struct Window {
    name: &'static str,
    size: &'static str,
    /// As Blink counts them.
    scheme: &'static str,
}

fn draw(browser: &Path, page: &Path, window: Window, picture: &Path) -> Result<()> {
    if picture.exists() {
        std::fs::remove_file(picture)?;
    }
    let mut command = start(browser, window);
    command.arg(format!("--screenshot={}", picture.display())).arg(address(page)?);
    let output = process::output_within(&mut command, LIMIT)?;
    if !picture.is_file() {
        bail!("the browser drew nothing: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

/// What is wrong with a page in this window, as the browser lays it out.
fn look(browser: &Path, page: &Path, window: Window, folder: &Path) -> Result<Option<String>> {
    let copy = folder.join(format!(".look-{}.html", window.name));
    let text = std::fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    std::fs::write(&copy, text.replace("</body>", &format!("<script>{LOOK}</script></body>")))?;
    let output = process::output_within(start(browser, window).arg("--dump-dom").arg(address(&copy)?), LIMIT);
    std::fs::remove_file(&copy)?;
    let dom = String::from_utf8(output?.stdout)?;
    let found = dom.split_once("data-found=\"").and_then(|(_, rest)| rest.split_once('"'));
    match found {
        Some(("", _)) => Ok(None),
        Some((fault, _)) => Ok(Some(fault.to_string())),
        None => bail!("the browser did not look at {}", page.display()),
    }
}

fn start(browser: &Path, window: Window) -> Command {
    let mut command = Command::new(browser);
    // Pages of our own need no sandbox, which a container does not offer.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1"]);
    command.arg(format!("--window-size={}", window.size));
    command.arg(format!("--blink-settings=preferredColorScheme={}", window.scheme));
    command
}

fn address(page: &Path) -> Result<String> {
    Ok(format!("file://{}", page.canonicalize()?.display()))
}

/// Names of programs that take Chromium's options.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const WINDOWS: [Window; 4] = [
    Window { name: "wide-light", size: "1280,5000", scheme: "1" },
    Window { name: "wide-dark", size: "1280,5000", scheme: "0" },
    Window { name: "narrow-light", size: "500,8000", scheme: "1" },
    Window { name: "narrow-dark", size: "500,8000", scheme: "0" },
];

const LIMIT: Duration = Duration::from_secs(120);

/// Runs in the page: says what is too wide and which labels lie over each other.
const LOOK: &str = r#"
const found = [];
if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than its window");
for (const svg of document.querySelectorAll("svg")) {
  const boxes = [...svg.querySelectorAll("text")].map(t => [t.textContent.trim(), t.getBoundingClientRect()]);
  const shown = boxes.filter(([text]) => text);
  for (let i = 0; i < shown.length; i++) for (let j = i + 1; j < shown.length; j++) {
    const [a, b] = [shown[i][1], shown[j][1]];
    const [w, h] = [Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
    if (w > 1 && h > 3) found.push(shown[i][0] + " lies over " + shown[j][0]);
  }
}
document.documentElement.dataset.found = found.slice(0, 5).join("; ").replaceAll('"', "'");
"#;
