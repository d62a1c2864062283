//! The price book in the usage store, so that analysts find what a `price_version` stands for beside the usage.

use super::{schema::MigrateError, settings::Settings, shipper, store_error::describe};
use crate::{
    base::clock::Duration,
    pricing::{book::PriceBook, view},
};
use bytes::Bytes;
use clickhouse::{Client, error::Error};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const INSERT: &str = "INSERT INTO price_rows (price_version, book_version, provider, model, valid_from, valid_until, \
    service_tier, input_tokens_above, class, usd, per, source) FORMAT JSONEachRow";
/// A gateway that starts has more urgent work.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(30);

/// Writes the book some time after the start, and tries until it is there.
pub async fn keep(client: Client, settings: Settings, book: Arc<PriceBook>) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        match publish(&client, &settings, &book).await {
            Ok(rows) => return tracing::info!(version = book.version(), rows, "the price book is in the usage store"),
            Err(error) => tracing::debug!(%error, "the price book is not in the usage store yet"),
        }
        pause = PAUSE;
    }
}

/// Writes the book, and says how many prices are in it. Writing the same one again changes nothing.
///
/// # Errors
/// The store refuses or does not answer.
pub async fn publish(client: &Client, settings: &Settings, book: &PriceBook) -> Result<usize, MigrateError> {
    let lines: Vec<Value> = lines(book);
    if lines.is_empty() {
        return Ok(0);
    }
    let text = lines.iter().fold(String::new(), |text, line| text + &line.to_string() + "\n");
    let token = format!("prices-{}", hex::encode(Sha256::digest(&text)));
    insert(&shipper::inserting(client, settings), &token, text).await.map_err(|source| {
        tracing::debug!(error = describe(&source), "the price book was not stored");
        MigrateError::Store { step: "prices".into(), source }
    })?;
    Ok(lines.len())
}

async fn insert(client: &Client, token: &str, text: String) -> Result<(), Error> {
    let insert = client.insert_formatted_with(INSERT);
    let mut insert = insert.with_setting("insert_deduplication_token", token);
    insert.send(Bytes::from(text)).await?;
    insert.end().await
}

/// A line for each price of each tier of each row.
fn lines(book: &PriceBook) -> Vec<Value> {
    // as ClickHouse reads times without being told to guess
    let time = |at: &Option<String>| at.as_deref().map(|at| at.replace('T', " ").replace('Z', ""));
    let mut lines = Vec::new();
    for row in view::all(book) {
        for tier in &row.tiers {
            lines.extend(tier.prices.iter().map(|price| {
                json!({
                    "price_version": row.version,
                    "book_version": book.version(),
                    "provider": row.provider,
                    "model": row.model,
                    "valid_from": time(&row.from),
                    "valid_until": time(&row.until),
                    "service_tier": tier.service_tier.as_deref().unwrap_or_default(),
                    "input_tokens_above": tier.input_tokens_above.unwrap_or_default(),
                    "class": price.class,
                    "usd": price.usd,
                    "per": price.per,
                    "source": row.source,
                })
            }));
        }
    }
    lines
}
