//! What is stored of a release for a rollback: its configuration and its image IDs.
//!
//! The configuration is stored with its `${…}` references, so no value of the env file is stored; a rollback fills
//! them in from the env file as it is then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::render::{read, render_stored};
use super::tool::Tool;
use crate::error::{OrchestratorError, Result};
use crate::rendered::Rendered;
use crate::stack_files::StackFiles;
use secrets::Key;
use secrets::redact::Secrets;
use system::files::{off_thread, read_bounded, write_durably};

/// Largest stored file that is read, bytes.
const MAX_FILE_BYTES: usize = 16 << 20;

/// The stored configuration of a release.
pub(super) fn config_path(snapshot_dir: &Path) -> PathBuf {
    snapshot_dir.join("config.yaml")
}

/// The name of the stack in the engine that is stored with a release; `None` when nothing is stored of it.
pub(crate) async fn stored_name(snapshot_dir: PathBuf) -> Option<String> {
    off_thread(move || read_project(&snapshot_dir)).await.ok().flatten()
}

fn read_project(snapshot_dir: &Path) -> Option<String> {
    let images = read_bounded(&images_path(snapshot_dir), MAX_FILE_BYTES).ok();
    let images: Option<serde_json::Value> = images.and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(name) = images.as_ref().and_then(|images| images.get("name")).and_then(|name| name.as_str()) {
        return Some(name.to_owned());
    }
    // Old releases were stored without it there; a stored configuration has it in its first lines.
    let text = String::from_utf8(read_bounded(&config_path(snapshot_dir), MAX_FILE_BYTES).ok()?).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("name:"))?.trim().trim_matches('"');
    (!name.contains('$')).then(|| name.to_owned())
}

fn images_path(snapshot_dir: &Path) -> PathBuf {
    snapshot_dir.join("images.yaml")
}

/// Stores the image IDs, and the configuration if it can be stored faithfully and without secrets.
/// Returns why the configuration was not stored, if it was not.
pub(super) async fn store_release(
    tool: Tool<'_>,
    project: &StackFiles,
    rendered: &Rendered,
    snapshot_dir: &Path,
    images: &BTreeMap<String, String>,
    key: &Key,
) -> Result<Option<String>> {
    let text = format!("{:#}\n", with_images(Some(&rendered.name), images));
    write(images_path(snapshot_dir), text, "store the image IDs").await?;
    let why = store_config(tool, project, rendered, snapshot_dir, key).await?;
    if why.is_some() {
        // A file of an earlier deploy of the same release must not be mistaken for this one's.
        let path = config_path(snapshot_dir);
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(OrchestratorError::io("remove an old configuration", &path)(error));
            }
            _ => {}
        }
    }
    Ok(why)
}

async fn store_config(
    tool: Tool<'_>,
    project: &StackFiles,
    rendered: &Rendered,
    snapshot_dir: &Path,
    key: &Key,
) -> Result<Option<String>> {
    let own = project.clone();
    let env = off_thread(move || own.env_in_use().and_then(|source| source.values().ok())).await;
    let env = env.ok().flatten().unwrap_or_default();
    let argv = project.argv(&["config", "--no-interpolate", "--no-env-resolution"]);
    let text = match read(tool, project, argv, &env).await {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => return Ok(Some(error.to_string())),
    };
    if Secrets::of(&env, &[]).map_or(true, |secrets| secrets.redact(&text) != text) {
        return Ok(Some("it contains values of the env file".to_owned()));
    }
    let path = config_path(snapshot_dir);
    write(path.clone(), text, "store the configuration").await?;
    let again = render_stored(tool, project, &rendered.name, &[&path], key).await;
    Ok(match again {
        Ok(again) if again.run_digest == rendered.run_digest => None,
        Ok(_) => Some("Compose reads it differently from the project's own files".to_owned()),
        Err(error) => Some(error.to_string()),
    })
}

async fn write(path: PathBuf, text: String, what: &'static str) -> Result<()> {
    let (to, bytes) = (path.clone(), text.into_bytes());
    let written = off_thread(move || write_durably(&to, &bytes)).await.flatten();
    written.map_err(OrchestratorError::io(what, &path))
}

/// A Compose file that replaces the images of services by IDs. JSON is YAML.
pub(super) fn override_of(images: &BTreeMap<String, String>) -> String {
    format!("{:#}\n", with_images(None, images))
}

fn with_images(name: Option<&str>, images: &BTreeMap<String, String>) -> serde_json::Value {
    let services: serde_json::Map<_, _> =
        images.iter().map(|(name, id)| (name.clone(), serde_json::json!({ "image": id }))).collect();
    let mut file = serde_json::json!({ "services": services });
    if let Some(name) = name {
        file["name"] = name.into();
    }
    file
}
