//! The pipelines that are part of the program.

use include_dir::{Dir, include_dir};
use medallion_pipeline::PipelineFiles;

static TOTARA: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/pipelines/totara");

/// The pipeline used where none is named.
pub(crate) const DEFAULT: &str = "totara";

/// All of them.
pub(crate) const NAMES: [&str; 1] = [DEFAULT];

/// The files of a built-in pipeline.
pub(crate) fn files(name: &str) -> Option<PipelineFiles> {
    (name == DEFAULT).then(|| {
        let mut files = PipelineFiles::new();
        collect(&TOTARA, &mut files);
        files
    })
}

fn collect(folder: &Dir<'_>, files: &mut PipelineFiles) {
    for file in folder.files() {
        if let Some(text) = file.contents_utf8() {
            files.insert(file.path().display().to_string(), text.to_owned());
        }
    }
    for folder in folder.dirs() {
        collect(folder, files);
    }
}
