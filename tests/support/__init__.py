"""Helpers of the tests: real servers, real writers, a real proxy."""
