//! Any form in any chunks: the same model as for the whole, or none, and no model that is not in the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sociaro_gateway::exchange::{body::BadBody, model_multipart::MultipartAsk};

fn read(body: &[u8], width: usize) -> Result<Option<String>, BadBody> {
    let mut scan = MultipartAsk::new("multipart/form-data; boundary=b", "model")?;
    for chunk in body.chunks(width) {
        scan.feed(chunk)?;
    }
    scan.finish()
}

fuzz_target!(|input: &[u8]| {
    let [width, body @ ..] = input else { return };
    let whole = read(body, body.len().max(1));
    let cut = read(body, usize::from(*width).max(1));
    // of several reasons to refuse, the one that comes first in the chunks is told
    assert_eq!(whole.as_ref().ok(), cut.as_ref().ok(), "in {width}: {whole:?}, {cut:?}");
    if let Ok(Some(model)) = whole {
        assert!(body.windows(model.len()).any(|part| part == model.as_bytes()));
    }
    if let Ok(text) = std::str::from_utf8(body) {
        drop(MultipartAsk::new(text, "model"));
    }
});
