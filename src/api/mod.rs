//! stub: api
