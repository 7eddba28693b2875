package owed
