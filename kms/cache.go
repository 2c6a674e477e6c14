package kms

type cache struct{}

func newCache(int) *cache { return &cache{} }

func (c *cache) invalidate() {}
