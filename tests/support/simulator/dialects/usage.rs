//! How the simulator counts: a token is a word between white space, so that a test can say what an answer must cost.

use serde_json::Value;

/// Members that hold text of a prompt, in every dialect.
const TEXT_MEMBERS: [&str; 8] = ["content", "contents", "text", "parts", "messages", "input", "prompt", "item"];
/// Members that hold instructions beside it.
const INSTRUCTION_MEMBERS: [&str; 4] = ["system", "instructions", "systemInstruction", "system_instruction"];

/// Words of a text.
pub fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// Words of everything that a request says to the model.
pub fn prompt_tokens(body: &Value) -> u64 {
    let mut texts = said(body);
    for member in INSTRUCTION_MEMBERS {
        if let Some(value) = body.get(member) {
            collect(value, &mut texts);
        }
    }
    texts.iter().map(|text| words(text)).sum()
}

/// The last text of a request: what is echoed.
pub fn question(body: &Value) -> &str {
    said(body).last().copied().unwrap_or_default()
}

/// The longest answer that the request allows, in words.
pub fn output_tokens_max(body: &Value) -> Option<usize> {
    let places = [
        "/max_tokens",
        "/max_completion_tokens",
        "/max_output_tokens",
        "/generationConfig/maxOutputTokens",
        "/parameters/max_tokens",
    ];
    let max = places.iter().find_map(|place| body.pointer(place)?.as_u64())?;
    usize::try_from(max).ok()
}

fn said(body: &Value) -> Vec<&str> {
    let mut texts = Vec::new();
    for member in TEXT_MEMBERS {
        if let Some(value) = body.get(member) {
            collect(value, &mut texts);
        }
    }
    texts
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(members) => {
            for member in TEXT_MEMBERS {
                if let Some(value) = members.get(member) {
                    collect(value, texts);
                }
            }
        }
        _ => {}
    }
}

/// An answer's text in the pieces in which it is streamed, one a word; joined they are the text.
pub fn split(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut in_word = false;
    for character in text.chars() {
        let white = character.is_whitespace();
        match pieces.last_mut() {
            // A piece ends where a word has ended; white space leads the next one.
            Some(piece) if !(white && in_word) => piece.push(character),
            _ => pieces.push(character.to_string()),
        }
        in_word = !white;
    }
    pieces
}
